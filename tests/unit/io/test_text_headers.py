"""NRRD and MetaImage, read as SimpleITK reads them, and refused where they are damaged."""

import contextlib
import gzip
import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from semiseg.errors import DataError
from semiseg.io.formats.contents import contents, modality_hint
from semiseg.io.labels import read_stored_label
from semiseg.io.nifti import read_nifti
from semiseg.io.volumes import label_values, read_image_files, read_image_geometry, read_label_file

SHAPE = (9, 8, 7)
ENDINGS = (".nrrd", ".nhdr", ".mha", ".mhd")
OBLIQUE = Rotation.from_euler("xyz", [20, -35, 110], degrees=True).as_matrix() @ np.diag([1, 1, -1])


def voxels(dtype=np.int16, shape=SHAPE):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def picture(array, vector=False):
    """An oblique and mirrored image from an array (X, Y, Z) or (X, Y, Z, C)."""
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0, *range(3, array.ndim)), isVector=vector)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetDirection(OBLIQUE.ravel())
    image.SetOrigin((-20.5, 31.25, 7.0))
    return image


def saved(path, array, compress=False, **options):
    sitk.WriteImage(picture(array, **options), str(path), compress)
    return path


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


@pytest.mark.parametrize(("ending", "compress"), [*itertools.product(ENDINGS, (False, True))])
def test_voxels_and_world_coordinates_are_those_of_the_nifti_copy(tmp_path, ending, compress):
    array = voxels()
    path = saved(tmp_path / f"a{ending}", array, compress)
    volume = read_image_files([path], ["CT"])
    saved(tmp_path / "a.nii.gz", array)
    expected, grid = read_nifti(tmp_path / "a.nii.gz")

    np.testing.assert_array_equal(volume.array[0], array)
    np.testing.assert_array_equal(volume.array[0], expected)
    assert volume.array.dtype == np.int16
    assert volume.geometry.shape == SHAPE
    np.testing.assert_allclose(volume.geometry.affine, nibabel.load(tmp_path / "a.nii.gz").affine, atol=2e-5)
    assert volume.geometry.difference(grid, tolerance=1e-4) == ""
    assert volume.geometry.unit == "mm"
    assert read_image_geometry([path], ["CT"]).difference(volume.geometry, tolerance=0) == ""


@pytest.mark.parametrize(
    ("ending", "dtype"),
    [*itertools.product((".nrrd", ".mha"), ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"))],
)
def test_numeric_types_are_kept(tmp_path, ending, dtype):
    array = voxels(np.dtype(dtype)) % 100
    volume = read_image_files([saved(tmp_path / f"a{ending}", array)], ["x"])
    assert volume.array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(volume.array[0], array)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_vectors_are_channels_and_no_labels(tmp_path, ending):
    array = voxels(np.uint8, (*SHAPE, 3))
    path = saved(tmp_path / f"a{ending}", array, vector=True)
    volume = read_image_files([path], ["a", "b", "c"])
    np.testing.assert_array_equal(volume.array, np.moveaxis(array, -1, 0))
    assert "its shape is (9, 8, 7, 3), not (X, Y, Z)" in refusal(read_image_files, [path], ["a"])
    assert "not (X, Y, Z)" in refusal(read_label_file, path, {0: 0, 1: 1})


def test_a_fourth_axis_is_channels_and_axes_of_length_1_are_dropped(tmp_path):
    array = voxels(shape=(*SHAPE, 2))
    image = sitk.JoinSeries([picture(array[..., channel]) for channel in range(2)])
    one = sitk.JoinSeries([picture(array[..., 0])])
    for ending in (".nrrd", ".mha"):
        sitk.WriteImage(image, str(tmp_path / f"a{ending}"))
        sitk.WriteImage(one, str(tmp_path / f"one{ending}"))
        volume = read_image_files([tmp_path / f"a{ending}"], ["a", "b"])
        np.testing.assert_array_equal(volume.array, np.moveaxis(array, -1, 0))
        np.testing.assert_allclose(volume.geometry.spacing, (0.7, 0.8, 2.5))
        np.testing.assert_array_equal(read_image_files([tmp_path / f"one{ending}"], ["a"]).array[0], array[..., 0])


def nrrd(path, body, data=b"", space="left-posterior-superior"):
    first = f"space: {space}\n" if space else ""
    path.write_bytes(f"NRRD0004\n# text\n{first}{body}\n".encode() + data)
    return path


BODY = "type: short\ndimension: 3\nsizes: 2 3 4\nendian: {endian}\nencoding: raw\n"
GRID = "space directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (5,6,7)\n"


@pytest.mark.parametrize(
    ("space", "signs"),
    [("LPS", (-1, -1, 1)), ("right-anterior-superior", (1, 1, 1)), ("LAS", (-1, 1, 1)), ("scanner-xyz", (-1, -1, 1))],
)
@pytest.mark.parametrize("endian", ["little", "big"])
def test_spaces_and_byte_orders(tmp_path, space, signs, endian):
    array = np.arange(24, dtype="<i2" if endian == "little" else ">i2").reshape(2, 3, 4, order="F")
    path = nrrd(tmp_path / "a.nrrd", BODY.format(endian=endian) + GRID, array.tobytes(order="F"), space)
    volume = read_image_files([path], ["x"])
    np.testing.assert_array_equal(volume.array[0], array)
    np.testing.assert_array_equal(
        volume.geometry.affine, np.diag([*signs, 1]) @ [[1, 0, 0, 5], [0, 2, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]]
    )
    image = sitk.ReadImage(str(path))
    x, y, z = image.TransformIndexToPhysicalPoint((1, 2, 3))
    np.testing.assert_allclose((volume.geometry.affine @ [1, 2, 3, 1])[:3], (-x, -y, z))


def test_a_file_without_spacing_is_in_voxels(tmp_path):
    data = np.zeros(24, "<i2").tobytes()
    body = BODY.format(endian="little")
    assert read_image_geometry([nrrd(tmp_path / "a.nrrd", body, data, "")], ["x"]).unit == "voxel"
    spaced = read_image_geometry([nrrd(tmp_path / "b.nrrd", f"{body}spacings: 1 2 3\n", data, "")], ["x"])
    assert (spaced.unit, spaced.spacing) == ("mm", (1, 2, 3))


@pytest.mark.parametrize(("ending", "compress"), [*itertools.product(ENDINGS, (False, True))])
def test_damage_is_found_and_nothing_is_printed(tmp_path, capfd, ending, compress):
    path = saved(tmp_path / f"a{ending}", voxels(), compress)
    data = next((other for other in tmp_path.iterdir() if other != path), path)
    whole = data.read_bytes()

    def told(content):
        data.write_bytes(content)
        return refusal(read_image_files, [path], ["x"])

    assert "the file is truncated" in told(whole[:-60])
    assert "the file is damaged" in told(whole + b"some bytes")
    if compress:
        assert "the file is damaged" in told(whole[:-80] + bytes([whole[-80] ^ 255]) + whole[-79:])
    assert ("truncated" if data != path else "the file is empty") in told(b"")
    if data == path:
        assert "truncated" in told(whole[:120])
        assert "it is a web page" in told(b"<!DOCTYPE html><html>login</html>")
    else:
        data.unlink()
        assert f"{data}: file not found" in refusal(read_image_files, [path], ["x"])
    assert capfd.readouterr() == ("", "")


def test_a_header_is_read_without_voxels(tmp_path):
    for ending in (".nrrd", ".mha"):
        path = saved(tmp_path / f"a{ending}", voxels())
        path.write_bytes(path.read_bytes()[:-100])
        assert read_image_geometry([path], ["x"]).shape == SHAPE
        path.write_bytes(path.read_bytes().replace(b"9 8 7", b"900000 800000 700000"))
        assert "more than a file of its size can hold" in refusal(read_image_files, [path], ["x"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((b"(1,0,0)", b"(0,0,0)"), "its affine is singular"),
        ((b"(1,0,0)", b"(0,2,0)"), "its affine is singular: axes coincide"),
        ((b"(1,0,0)", b"(1,1,0)"), "its affine is sheared"),
        ((b"(1,0,0)", b"(nan,0,0)"), "'nan 0 0' are not lengths"),
        ((b"(1,0,0)", b"(1e300,0,0)"), "are not lengths"),
        ((b"(1,0,0)", b"(1,0)"), "it is not a volume"),
        ((b"(1,0,0)", b"(a,0,0)"), "its header is damaged"),
        ((b"(1,0,0) ", b""), "2 space directions for dimension 3"),
        ((b"sizes: 2 3 4", b"sizes: 2 3"), "2 sizes for dimension 3"),
        ((GRID.encode(), b"spacings: 1 2\n"), "2 spacings for dimension 3"),
        ((GRID.encode(), b"kinds: domain\n"), "1 kinds for dimension 3"),
        ((GRID.encode(), b"spacings: 1 nan 2\n"), "are not lengths"),
        ((b"sizes: 2 3 4", b"sizes: 2 0 4"), "it is not a volume"),
        ((b"raw", b"ascii"), "encoding ascii"),
        ((b"short", b"block"), "type block"),
        ((b"endian: little\n", b""), "endian is missing"),
        ((b"type: short\n", b""), "its header has no type"),
        ((b"# text", b"data file: /etc/hostname"), "not in one file beside it"),
        ((b"# text", b"data file: ../a.raw"), "not in one file beside it"),
        ((b"# text", b"data file: LIST"), "not in one file beside it"),
        ((b"# text", b"byte skip: 12"), "byte skip 12"),
        ((b"# text", b'space units: "m" "m" "m"'), "space units m"),
        ((b"# text", b"nonsense"), "the line 'nonsense'"),
    ],
)
def test_headers_that_are_refused(tmp_path, change, told):
    path = nrrd(tmp_path / "a.nrrd", BODY.format(endian="little") + GRID, np.ones(24, "<i2").tobytes())
    assert read_image_files([path], ["x"]).array.all()
    path.write_bytes(path.read_bytes().replace(*change))
    assert told in refusal(read_image_files, [path], ["x"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((b"BinaryData = True", b"BinaryData = False"), "BinaryData = False"),
        ((b"MET_SHORT", b"MET_SHORT_ARRAY"), "ElementType = MET_SHORT_ARRAY"),
        ((b"ElementSpacing = ", b"ElementSpacing = 1 "), "must have 3 numbers"),
        ((b"NDims = 3", b"HeaderSize = -1\nNDims = 3"), "HeaderSize = -1"),
        ((b"NDims = 3", b"NDims = 2"), "3 sizes for NDims = 2"),
        ((b"DimSize", b"Dims"), "its header has no DimSize"),
        ((b"LOCAL", b"a\0b"), "not in one file beside it"),
        ((b"LOCAL", b"slice%03d.raw 1 7 1"), "not in one file beside it"),
    ],
)
def test_metaimages_that_are_refused(tmp_path, change, told):
    path = saved(tmp_path / "a.mha", voxels())
    assert change[0] in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(*change))
    assert told in refusal(read_image_files, [path], ["x"])


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_two_dimensions_and_infinite_voxels_are_refused(tmp_path, ending):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((4, 5), np.uint8)), str(tmp_path / f"flat{ending}"))
    assert "it is not a volume: its shape is (5, 4)" in refusal(read_image_files, [tmp_path / f"flat{ending}"], ["x"])
    array = voxels(np.float32)
    array[0, 0, :2] = np.nan, np.inf
    told = refusal(read_image_files, [saved(tmp_path / f"a{ending}", array)], ["x"])
    assert "2 of 504 voxels are not finite" in told


@pytest.fixture(scope="module")
def headers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("headers")
    return [saved(folder / f"a{ending}", voxels(np.uint8) % 3) for ending in (".nrrd", ".seg.nrrd", ".mha")]


@settings(max_examples=150, deadline=None)
@given(
    which=st.integers(0, 2),
    place=st.integers(0, 320),
    length=st.integers(0, 9),
    text=st.sampled_from([b"", b"nan", b"-1", b"none", b"()", b":=", b"=", b"\0", b"\xff", b"\n\n", b"7 7", b"1e999"]),
)
def test_no_changed_header_has_another_effect_than_an_error(headers, which, place, length, text):
    content = headers[which].read_bytes()
    path = headers[which].with_name(f"changed_{headers[which].name}")
    path.write_bytes(content[:place] + text + content[place + length :])
    for read, options in ((read_image_files, (["x"],)), (read_image_geometry, (["x"],))):
        with contextlib.suppress(DataError):
            assert read([path], *options) is not None
    with contextlib.suppress(DataError):
        assert read_stored_label(path)[0].ndim >= 3


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_labels(tmp_path, ending):
    array = voxels(np.float32) % 3
    path = saved(tmp_path / f"a{ending}", array * np.float32(0.9999999))
    assert label_values(path) == {0, 1, 2}
    np.testing.assert_array_equal(read_label_file(path, {0: 0, 1: 1, 2: 2}).array, array)
    assert "values that belong to no class: 2 (" in refusal(read_label_file, path, {0: 0, 1: 1})
    assert read_stored_label(path)[0].dtype == np.float32
    saved(path, array / 2)
    assert "voxels are not whole numbers (0.5)" in refusal(read_label_file, path, {0: 0, 1: 1})


def test_a_whole_file_in_gzip_is_read(tmp_path):
    path = saved(tmp_path / "a.nrrd", voxels())
    path.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_image_files([path], ["x"]).array[0], voxels())


def test_a_detached_header_has_two_files(tmp_path):
    for name in ("a.nhdr", "b.mhd"):
        path = saved(tmp_path / name, voxels())
        assert contents(path) == (path, path.with_suffix(".raw"))
    path = saved(tmp_path / "c.nrrd", voxels())
    assert contents(path) == (path,)


def test_the_modality_of_a_metaimage_is_a_hint(tmp_path):
    path = saved(tmp_path / "a.mha", voxels())
    assert modality_hint(path) == ""
    path.write_bytes(path.read_bytes().replace(b"NDims", b"Modality = MET_MOD_CT\nNDims"))
    assert modality_hint(path) == "CT"
    assert modality_hint(tmp_path / "none.nrrd") == ""
