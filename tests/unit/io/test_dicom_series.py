"""Folders of DICOM files: one series is a volume, and anything else is refused with names."""

import locale

import helpers_dicom as made
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from semiseg.data.digests import Digests
from semiseg.errors import DataError
from semiseg.io.finding import find
from semiseg.io.formats.contents import contents, modality_hint
from semiseg.io.formats.series import with_series
from semiseg.io.volumes import read_image_files, read_image_geometry


def array(shape=(9, 8, 6), low=0):
    return np.random.default_rng(0).integers(low, 900, shape).astype(np.int16)


def refusal(folder):
    with pytest.raises(DataError) as caught:
        read_image_files([folder], ["CT"])
    with pytest.raises(DataError) as header:
        read_image_geometry([folder], ["CT"])
    assert str(caught.value) == str(header.value)
    return str(caught.value)


@pytest.mark.parametrize("axes", [np.eye(3), made.OBLIQUE, np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])])
def test_voxels_and_world_coordinates(tmp_path, axes):
    stored = array()
    folder = made.write_series(tmp_path / "case", stored, axes)
    before = locale.setlocale(locale.LC_ALL)
    volume = read_image_files([folder], ["CT"])
    assert locale.setlocale(locale.LC_ALL) == before

    np.testing.assert_array_equal(volume.array[0], stored)
    assert volume.geometry.unit == "mm"
    np.testing.assert_allclose(volume.geometry.affine, made.affine(axes), atol=1e-6)
    assert read_image_geometry([folder], ["CT"]).difference(volume.geometry, tolerance=0) == ""


def test_it_is_what_the_series_reader_of_simpleitk_reads(tmp_path):
    folder = made.write_series(tmp_path / "case", array())
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    volume = read_image_files([folder], ["CT"])

    np.testing.assert_array_equal(volume.array[0], sitk.GetArrayFromImage(image).T)
    for index in ((0, 0, 0), (8, 7, 5), (2, 5, 3)):
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((volume.geometry.affine @ [*index, 1])[:3], (-x, -y, z), atol=1e-4)


def test_slices_against_the_normal_are_read_along_it(tmp_path):
    stored = array()
    folder = made.write_series(tmp_path / "case", stored, places=[5, 4, 3, 2, 1, 0])
    volume = read_image_files([folder], ["CT"])
    np.testing.assert_array_equal(volume.array[0], stored[:, :, ::-1])
    assert np.linalg.det(volume.geometry.affine[:3, :3]) > 0


def test_values_are_rescaled_by_the_slope_and_intercept_of_each_slice(tmp_path):
    """Hounsfield units in CT; in PET, each slice has a slope of its own."""
    folder = tmp_path / "case"
    for index in range(3):
        rows = np.full((4, 5), 40, np.int16)
        position = made.ORIGIN + made.OBLIQUE[:, 2] * 2.5 * index
        path = made.write_slice(folder / f"{index}.dcm", rows, position, t0028_1052="-1024", t0028_1053="1")
    content = path.read_bytes()
    assert content.endswith(np.full(20, 1064, "<i2").tobytes())  # as stored
    slope = b"\x28\x00\x53\x10\x02\x00\x00\x001 "
    assert slope in content
    path.write_bytes(content.replace(slope, slope[:-2] + b".5"))
    values = read_image_files([folder], ["CT"]).array[0]
    np.testing.assert_array_equal(values[0, 0], [40, 40, 1064 / 2 - 1024])


def test_several_series_are_listed(tmp_path):
    made.write_series(tmp_path / "case" / "a", array(), t0008_103e="abdomen")
    made.write_series(
        tmp_path / "case" / "b", array((9, 8, 3)), t0020_000e="1.2.9", t0008_103e="scout", t0008_0060="MR"
    )
    told = refusal(tmp_path / "case")
    assert f"{tmp_path / 'case'}: it has 2 series:" in told
    assert "CT abdomen: 6 slices, for example a/i000.dcm (SeriesInstanceUID 1.2.3.4)" in told
    assert "MR scout: 3 slices, for example b/i000.dcm (SeriesInstanceUID 1.2.9)" in told
    assert "Leave the files of one series in the folder" in told


def test_missing_doubled_and_uneven_slices_are_refused(tmp_path):
    missing = made.write_series(tmp_path / "missing", array(), places=[0, 1, 2, 4, 5, 8])
    told = refusal(missing)
    assert "slices are missing: 1 between i003.dcm and i000.dcm, 2 between i001.dcm and i002.dcm" in told or (
        "slices are missing: 1 between" in told and ", 2 between" in told
    )
    doubled = made.write_series(tmp_path / "doubled", array(), places=[0, 0, 1, 1, 2, 2])
    assert "3 pairs of slices are at the same place" in refusal(doubled)
    uneven = made.write_series(tmp_path / "uneven", array(), places=[0, 1, 2, 3.5, 4.5, 6.2])
    assert "its slices are unevenly spaced: 2.5 to 4.25 mm apart" in refusal(uneven)
    nearly = made.write_series(tmp_path / "nearly", array(), places=[0, 1.01, 2, 3, 4.02, 5])
    assert read_image_files([nearly], ["CT"]).geometry.spacing[2] == pytest.approx(2.5)


def test_a_tilted_gantry_is_refused(tmp_path):
    folder = tmp_path / "case"
    for index in range(4):
        made.write_slice(
            folder / f"{index}.dcm", array()[:, :, 0], np.add(made.ORIGIN, [0, 0.4 * index, 2.5 * index]), np.eye(3)
        )
    assert "its affine is sheared" in refusal(folder)
    assert "dcm2niix, which corrects a tilted gantry" in refusal(folder)


def test_shifted_turned_and_smaller_slices_are_refused(tmp_path):
    for name, change in {"shift": {}, "turn": {"axes": made.OBLIQUE}, "size": {}}.items():
        folder = made.write_series(tmp_path / name, array(), np.eye(3))
        rows = array((6, 8, 1))[:, :, 0].T if name == "size" else array()[:, :, 0].T
        position = np.add(made.ORIGIN, [0.6 if name == "shift" else 0, 0, 2.5 * 3])
        (path,) = [p for p in folder.iterdir() if _height(p) == pytest.approx(position[2])]
        made.write_slice(path, np.ascontiguousarray(rows), position, **{"axes": np.eye(3), **change})
        told = refusal(folder)
        expected = {
            "shift": f"slices are shifted against each other: {path.name}",
            "turn": "slices differ in direction or resolution from",
            "size": "slices differ in size from",
        }
        assert expected[name] in told


def _height(path):
    return sitk.ReadImage(str(path)).GetOrigin()[2]


def test_files_that_cannot_be_read_are_all_named_and_nothing_is_printed(tmp_path, capfd):
    folder = made.write_series(tmp_path / "case", array())
    whole = (folder / "i000.dcm").read_bytes()
    (folder / "i000.dcm").write_bytes(whole[:-30])
    (folder / "i001.dcm").write_bytes(b"")
    (folder / "i002.dcm").write_text("hello " * 100)
    (folder / "i003.dcm").write_bytes((folder / "i003.dcm").read_bytes() + b"more bytes")
    (folder / "i004.dcm").write_bytes(whole[:300])
    told = refusal(folder)
    for name in ("i000", "i003", "i004"):
        assert f"{folder / name}.dcm: the file is truncated or damaged, or not an image" in told
    assert "i001.dcm: the file is empty" in told
    assert "i002.dcm: the file is not DICOM" in told
    assert capfd.readouterr() == ("", "")


def test_color_images_radiographs_and_single_slices(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((8, 9, 3), np.uint8), isVector=True)
    (tmp_path / "color").mkdir()
    sitk.WriteImage(image, str(tmp_path / "color" / "a.dcm"))
    assert "it is a color image" in refusal(tmp_path / "color")
    path = made.write_slice(tmp_path / "xray" / "a.dcm", array()[:, :, 0], made.ORIGIN)
    content = path.read_bytes()
    for old, new in ((b"\x20\x00\x32\x00", b"\x20\x00\x31\x00"), (b"\x20\x00\x37\x00", b"\x20\x00\x36\x00")):
        assert content.count(old) == 1
        content = content.replace(old, new)
    path.write_bytes(content)
    assert "a.dcm: it has no position and no orientation" in refusal(tmp_path / "xray")
    one = made.write_series(tmp_path / "one", array((9, 8, 1)))
    np.testing.assert_allclose(read_image_geometry([one], ["CT"]).affine, made.affine(), atol=1e-6)


def test_other_files_beside_the_slices_are_no_slices(tmp_path):
    folder = made.write_series(tmp_path / "case", array(), name="IM{:04d}")
    for name in ("DICOMDIR", "notes.txt", ".DS_Store", "Thumbs.db", "label.seg.nrrd"):
        (folder / name).write_text("text")
    assert len(contents(folder)) == 6
    assert read_image_files([folder], ["CT"]).array.shape == (1, 9, 8, 6)
    assert modality_hint(folder) == "CT"


def test_folders_with_dicom_are_found_among_files(tmp_path):
    made.write_series(tmp_path / "a" / "study" / "series", array())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "note.txt").touch()
    (tmp_path / "c.nrrd").touch()
    found = with_series(find(tmp_path))
    assert [path.name for path in found.files] == ["a"]
    assert [path.name for path in found.other] == ["c.nrrd"]


def test_a_digest_is_that_of_all_slices(tmp_path):
    folder = made.write_series(tmp_path / "case", array())
    digests = Digests(tmp_path / "notes")
    first = digests.of(folder)
    assert digests.of(folder) == first == Digests(tmp_path / "other").of(folder)
    path = sorted(folder.iterdir())[3]
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    changed = digests.of(folder)
    assert changed != first
    path.unlink()
    assert digests.of(folder) not in {first, changed}
