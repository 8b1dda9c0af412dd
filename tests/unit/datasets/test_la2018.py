"""The h5 files of the semi-supervised papers, whole and damaged."""

import os
from pathlib import Path

import h5py
import helpers_volumes as made
import numpy as np
import pytest

from semiseg.datasets.la2018 import LA2018
from semiseg.errors import DataError


def la2018(root, **options):
    return LA2018(LA2018.Options(root=root, **options))


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


def test_cases_are_named_by_their_folders(tmp_path):
    dataset = la2018(made.write_la2018(tmp_path))
    assert [case.id for case in dataset.cases()] == ["ID0", "ID1", "ID2"]
    volume = dataset.read_image(dataset.cases()[1])
    np.testing.assert_array_equal(volume.array, made.image(1, np.float32)[None] / 300 - 1)
    assert volume.array.dtype == np.float32


def test_distances_are_in_voxels_unless_a_spacing_is_given(tmp_path):
    made.write_la2018(tmp_path)
    case = la2018(tmp_path).cases()[0]
    geometry = la2018(tmp_path).read_geometry(case)
    assert (geometry.unit, geometry.spacing) == ("voxel", (1, 1, 1))
    np.testing.assert_array_equal(geometry.affine, np.eye(4))
    geometry = la2018(tmp_path, spacing_mm=(0.625, 0.625, 1.25)).read_label(case).geometry
    assert (geometry.unit, geometry.spacing) == ("mm", (0.625, 0.625, 1.25))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = made.write_la_case(tmp_path / "ID")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    dataset = la2018(tmp_path)
    for read in (dataset.read_image, dataset.read_label, dataset.read_geometry):
        text = refusal(read, dataset.cases()[0])
        assert str(path) in text
        assert "damaged, truncated or not HDF5" in text


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_flipped_bit_in_the_voxels_is_refused(tmp_path, place):
    path = made.write_la_case(tmp_path / "ID", image=np.random.default_rng(0).random(made.SHAPE, dtype=np.float32))
    with h5py.File(path) as file:
        chunk = file["image"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + int(place * chunk.size)] ^= 4
    path.write_bytes(content)
    dataset = la2018(tmp_path)
    assert "damaged" in refusal(dataset.read_image, dataset.cases()[0])


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"image": None}, "has no 'image'"),
        ({"image": np.zeros((2, 3), np.float32)}, "not a volume"),
        ({"image": np.full(made.SHAPE, np.nan, np.float32)}, "504 of 504 voxels are not finite"),
    ],
)
def test_what_is_wrong_with_an_image(tmp_path, arrays, word):
    made.write_la_case(tmp_path / "ID", **arrays)
    dataset = la2018(tmp_path)
    assert word in refusal(dataset.read_image, dataset.cases()[0])


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (None, "has no 'label'"),
        (made.label(shape=(9, 8, 6)), "(9, 8, 7) and (9, 8, 6)"),
        (made.label((0, 1, 2)), "2 (168 voxels)"),
        (made.label((0, 0.5), dtype=np.float32), "not whole numbers"),
        (made.label((0, np.inf), dtype=np.float32), "252 of 504 voxels are not finite"),
    ],
)
def test_what_is_wrong_with_a_label(tmp_path, array, word):
    made.write_la_case(tmp_path / "ID", label=array)
    dataset = la2018(tmp_path)
    assert word in refusal(dataset.read_label, dataset.cases()[0])


def linked(path, other):
    with h5py.File(path, "a") as file:
        del file["image"]
        file["image"] = h5py.ExternalLink(str(other), "image")


def linked_twice(path, other):
    with h5py.File(path, "a") as file:
        del file["image"]
        file["other"] = h5py.ExternalLink(str(other), "image")
        file["image"] = h5py.SoftLink("/other")


def stored_outside(path, other):
    with h5py.File(path, "a") as file:
        del file["image"]
        size = 4 * np.prod(made.SHAPE)
        file.create_dataset("image", made.SHAPE, np.float32, external=[(str(other), 0, size)])


def mapped(path, other):
    with h5py.File(path, "a") as file:
        del file["image"]
        layout = h5py.VirtualLayout(made.SHAPE, np.float32)
        layout[...] = h5py.VirtualSource(str(other), "image", made.SHAPE)
        file.create_virtual_dataset("image", layout)


@pytest.mark.parametrize("point", [linked, linked_twice, stored_outside, mapped])
def test_what_lies_in_another_file_is_refused_by_its_name(tmp_path, point):
    other = made.write_la_case(tmp_path / "elsewhere" / "other")
    other = other.rename(other.with_name("other.h5"))
    path = made.write_la_case(tmp_path / "root" / "ID")
    point(path, other)
    dataset = la2018(tmp_path / "root")
    for read in (dataset.read_image, dataset.read_label, dataset.read_geometry):
        text = refusal(read, dataset.cases()[0])
        assert f"{path}: 'image' is in another file ({other})" in text


def test_a_link_within_the_file_is_followed(tmp_path):
    path = made.write_la_case(tmp_path / "ID")
    with h5py.File(path, "a") as file:
        file.move("image", "scan")
        file["image"] = h5py.SoftLink("/scan")
    dataset = la2018(tmp_path)
    assert dataset.read_image(dataset.cases()[0]).array.shape == (1, *made.SHAPE)


@pytest.mark.parametrize("shape", [(20_000, 20_000, 20_000), (1600, 1600, 1600)])
@pytest.mark.parametrize("name", ["image", "label"])
def test_a_shape_that_the_file_cannot_hold_is_refused_before_it_is_read(tmp_path, shape, name):
    path = made.write_la_case(tmp_path / "ID", **{name: None})
    with h5py.File(path, "a") as file:
        file.create_dataset(name, shape, np.float32, chunks=(64, 64, 64), compression="gzip")
    dataset = la2018(tmp_path)
    text = refusal(getattr(dataset, f"read_{name}"), dataset.cases()[0])
    assert f"{path}: the file is damaged or truncated: '{name}' takes {4 * shape[0] ** 3:,} bytes" in text


def test_more_voxels_than_memory_are_refused_by_name(tmp_path, monkeypatch):
    path = made.write_la_case(tmp_path / "ID")
    monkeypatch.setattr("semiseg.io.memory.machine_memory", lambda: 2015)
    dataset = la2018(tmp_path)
    assert f"{path}: it declares 2,016 bytes of voxels" in refusal(dataset.read_image, dataset.cases()[0])


def test_a_label_of_floats_that_were_rounded(tmp_path):
    made.write_la_case(tmp_path / "ID", label=made.label((0, 0.99999994), dtype=np.float32))
    dataset = la2018(tmp_path)
    np.testing.assert_array_equal(dataset.read_label(dataset.cases()[0]).array, made.label((0, 1)))


def test_an_empty_folder_says_what_is_expected(tmp_path):
    assert "2018LA_Seg_Training Set/ID/mri_norm2.h5" in refusal(la2018(tmp_path).cases)
    assert "folder not found" in refusal(la2018(tmp_path / "nowhere").cases)


def test_the_same_id_in_two_folders_is_refused(tmp_path):
    for part in ("train", "test"):
        made.write_la_case(tmp_path / part / "ID")
    assert "case ID: its id occurs more than once" in refusal(la2018(tmp_path).cases)


def test_new_cases_are_h5_files(tmp_path):
    dataset = la2018(made.write_la2018(tmp_path / "trained"))
    one = made.write_la_case(tmp_path / "new" / "X", label=None)
    two = one.with_name("named.h5")
    two.write_bytes(one.read_bytes())
    one.with_name("._named.h5").touch()
    assert [case.id for case in dataset.new_cases([tmp_path / "new"])] == ["X", "named"]
    (case,) = dataset.new_cases([two])
    assert dataset.read_image(case).array.shape == (1, *made.SHAPE)
    assert "2 files for one modality" in refusal(dataset.new_cases, [one, two])
    (tmp_path / "empty").mkdir()
    assert "no .h5 file" in refusal(dataset.new_cases, [tmp_path / "empty"])


@pytest.mark.real_data
def test_real_volumes():
    folder = os.environ.get("SEMISEG_REAL_DATA")
    if not folder:
        pytest.skip("SEMISEG_REAL_DATA is not set")
    dataset = la2018(Path(folder) / "la2018")
    cases = dataset.cases()
    assert len(cases) == 36
    image = dataset.read_image(cases[0])
    assert (image.array.dtype, image.array.shape) == (np.float32, (1, 180, 135, 88))
    assert set(np.unique(dataset.read_label(cases[0]).array)) == {0, 1}
