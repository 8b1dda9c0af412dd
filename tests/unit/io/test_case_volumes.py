"""Files of one case become one image or one label; what does not fit together is said in one error."""

import re

import helpers_volumes as made
import numpy as np
import pytest

from semiseg.errors import DataError
from semiseg.io.names import name_problems, safe_name
from semiseg.io.volumes import label_values, read_image_files, read_image_geometry, read_label_file
from semiseg.types import IGNORED, DatasetInfo, Geometry

TWO = ("t1", "t2")


def message(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


@pytest.fixture
def pair(tmp_path):
    return [made.save(tmp_path / f"{name}.nii.gz", made.image(seed)) for seed, name in enumerate(TWO)]


def test_one_file_a_modality_is_stacked_in_order(pair):
    volume = read_image_files(pair, TWO)
    np.testing.assert_array_equal(volume.array, [made.image(0), made.image(1)])
    assert volume.array.dtype == np.int16
    assert volume.array.flags.c_contiguous
    np.testing.assert_array_equal(read_image_files(pair[::-1], TWO).array[0], made.image(1))


def test_types_are_joined_without_loss(tmp_path):
    paths = [
        made.save(tmp_path / f"{i}.nii.gz", made.image(i, dtype)) for i, dtype in enumerate((np.int16, np.float32))
    ]
    assert read_image_files(paths, TWO).array.dtype == np.float32


def test_one_file_with_channels_last_is_split(tmp_path):
    stored = made.image(shape=(*made.SHAPE, 2))
    path = made.save(tmp_path / "both.nii.gz", stored)
    volume = read_image_files([path], TWO)
    assert volume.geometry.shape == made.SHAPE
    assert volume.array.flags.c_contiguous
    for channel in range(2):
        np.testing.assert_array_equal(volume.array[channel], stored[..., channel])


@pytest.mark.parametrize("shape", [made.SHAPE, (*made.SHAPE, 1)])
def test_one_modality_with_and_without_a_fourth_axis(tmp_path, shape):
    stored = made.image(shape=shape)
    volume = read_image_files([made.save(tmp_path / "one.nii.gz", stored)], ["mri"])
    np.testing.assert_array_equal(volume.array, stored.reshape(1, *made.SHAPE))


@pytest.mark.parametrize("read", [read_image_files, read_image_geometry])
def test_four_axes_where_three_are_expected(tmp_path, pair, read):
    movie = made.save(tmp_path / "movie.nii.gz", made.image(shape=(*made.SHAPE, 5)))
    assert "(9, 8, 7, 5), not (X, Y, Z)" in message(read, [movie], ["mri"])
    assert "(9, 8, 7, 5), not (X, Y, Z, 2)" in message(read, [movie], TWO)
    assert "(9, 8, 7, 5), not (X, Y, Z)" in message(read, [pair[0], movie], TWO)
    assert "t1, t2" in message(read, [pair[0]], TWO)
    assert "2 files for 3 modalities" in message(read, pair, ("a", "b", "c"))


@pytest.mark.parametrize("read", [read_image_files, read_image_geometry])
def test_modalities_on_different_grids_are_refused(tmp_path, pair, read):
    shifted = made.LPS.copy()
    shifted[0, 3] += 5
    other = made.save(tmp_path / "shifted.nii.gz", made.image(), shifted)
    text = message(read, [pair[0], other], TWO)
    assert str(pair[0]) in text
    assert str(other) in text
    assert "affines that differ by 5.00 voxels at a corner of the volume" in text
    smaller = made.save(tmp_path / "smaller.nii.gz", made.image(shape=(9, 8, 6)))
    assert "shape (9, 8, 7) vs. (9, 8, 6)" in message(read, [pair[0], smaller], TWO)


def test_a_grid_that_differs_by_rounding_is_the_same(tmp_path, pair):
    near = made.save(tmp_path / "near.nii.gz", made.image(), made.LPS + 2e-4 * np.eye(4, k=3))
    assert read_image_files([pair[0], near], TWO).array.shape == (2, *made.SHAPE)


def grid(shape, *, spacing=(1, 1, 1), **changes):
    """A grid of a shape, with elements of its affine set: ``a10=…`` is row 1, column 0."""
    affine = np.diag([*map(float, spacing), 1.0])
    for place, value in changes.items():
        affine[int(place[1]), int(place[2])] = value
    return Geometry(shape, affine)


@pytest.mark.parametrize(
    ("one", "other", "voxels"),
    [
        # The origin, in a voxel of 1 mm, and along a slice of 5 mm.
        (grid((9, 8, 7)), grid((9, 8, 7), a23=0.0014), 0.0014),
        (grid((9, 8, 7), spacing=(0.7, 0.7, 5)), grid((9, 8, 7), spacing=(0.7, 0.7, 5), a23=0.4), 0.08),
        (grid((9, 8, 7)), grid((9, 8, 7), a03=0.3, a13=0.4), 0.5),
        # A direction: 9e-4 mm a voxel, 511.5 voxels from the first.
        (grid((512, 32, 8)), grid((512, 32, 8), a10=9e-4), 0.46),
        # Spacing that was written with four digits.
        (grid((512, 512, 8), spacing=(0.46875, 0.46875, 1)), grid((512, 512, 8), spacing=(0.4688, 0.4688, 1)), 0.077),
        (grid((9, 8, 7)), grid((9, 8, 7), a00=-1.0), 17),
    ],
)
def test_grids_are_compared_by_how_far_a_corner_moves(one, other, voxels):
    for first, second in ((one, other), (other, one)):
        same = first.difference(second) == ""
        assert same == (voxels < 0.1)
        if not same:
            assert f" {voxels:.2f} voxels at a corner" in first.difference(second)
    assert one.difference(one, tolerance=0) == ""
    assert one.difference(other, tolerance=0)


def test_all_damaged_files_are_named_at_once(tmp_path, pair):
    for path in pair:
        path.write_bytes(path.read_bytes()[:100])
    text = message(read_image_files, pair, TWO)
    assert "2 problems" in text
    assert all(str(path) in text for path in pair)


def test_labels_become_class_indices(tmp_path):
    path = made.save(tmp_path / "seg.nii.gz", made.label((0, 4, 1, 3), dtype=np.float64))
    volume = read_label_file(path, {0: 0, 1: 1, 2: 2, 3: 3, 4: 3})
    assert volume.array.dtype == np.uint8
    np.testing.assert_array_equal(volume.array, made.label((0, 3, 1, 3)))


def test_values_beyond_uint8_and_below_zero_are_mapped(tmp_path):
    path = made.save(tmp_path / "seg.nii.gz", made.label((0, 820, -1), dtype=np.int16))
    np.testing.assert_array_equal(read_label_file(path, {0: 0, 820: 1, -1: 2}).array, made.label((0, 1, 2)))


def test_unknown_and_fractional_values_are_said_at_once(tmp_path):
    array = made.label((0, 1), dtype=np.float32)
    array[0, 0, :3], array[1, 1, 1], array[2, 2, :2] = 205, 7, (0.25, 0.5)
    text = message(read_label_file, made.save(tmp_path / "seg.nii.gz", array), {0: 0, 1: 1})
    assert "2 voxels are not whole numbers (0.25, 0.5)" in text
    assert "7 (1 voxels), 205 (3 voxels)" in text
    assert "label_map: {7: INDEX}" in text
    assert "Known values: 0, 1." in text


def test_no_structure_is_advised_to_be_counted_as_another(tmp_path):
    """Of BraTS 2024, where 4 is the resection cavity: which class a value is, if any, no example may say."""
    path = made.save(tmp_path / "seg.nii.gz", made.label((0, 1, 2, 3, 4)))
    text = message(read_label_file, path, {0: 0, 1: 1, 2: 2, 3: 3})
    assert not re.search(r"label_map: \{4: \d", text)
    assert "Do not map another structure to an existing class" in text
    assert "leave its cases out" in text


def test_values_that_were_rounded_are_the_numbers_that_they_were(tmp_path):
    near = np.array([0.9999999, 1.0000001, 2.0000002, -1e-8, 0], np.float32)
    path = made.save(tmp_path / "seg.nii.gz", np.resize(near, made.SHAPE))
    classes = read_label_file(path, {0: 0, 1: 1, 2: 2}).array
    np.testing.assert_array_equal(classes, made.label((1, 1, 2, 0, 0)))
    assert label_values(path) == {0, 1, 2}


@pytest.mark.parametrize("value", [0.5, 0.98, 1.001, 1_000_000.5])
def test_what_is_no_whole_number_stays_none(tmp_path, value):
    path = made.save(tmp_path / "seg.nii.gz", made.label((0, value), dtype=np.float32))
    assert f"252 voxels are not whole numbers ({value:g})" in message(read_label_file, path, {0: 0, 1: 1})


@pytest.mark.parametrize("more", [(1,), (1, 1)])
def test_a_label_with_axes_of_length_1(tmp_path, more):
    path = made.save(tmp_path / "seg.nii.gz", made.label()[(..., *[None] * len(more))])
    np.testing.assert_array_equal(read_label_file(path, {0: 0, 1: 1, 2: 2}).array, made.label())


def test_channels_behind_an_axis_of_length_1(tmp_path):
    stored = made.image(shape=(*made.SHAPE, 1, 2))
    volume = read_image_files([made.save(tmp_path / "both.nii.gz", stored)], TWO)
    np.testing.assert_array_equal(volume.array, [stored[..., 0, 0], stored[..., 0, 1]])


def test_a_label_with_four_axes_is_refused(tmp_path):
    path = made.save(tmp_path / "seg.nii.gz", made.label(shape=(*made.SHAPE, 2)))
    assert "not (X, Y, Z)" in message(read_label_file, path, {0: 0, 1: 1, 2: 2})


NAMES = ["BraTS-GLI-00005-000", "a", "_x", "W39_1998.09.19", "0", "Patient 01 (post)", "é", "a+b, [c]", "$(x)"]


@pytest.mark.parametrize("case_id", NAMES)
def test_ids_that_can_be_file_names(case_id):
    assert safe_name(case_id) == case_id


@pytest.mark.parametrize("case_id", ["", ".", "..", ".hidden", "-rf", "a/b", "a\\b", " a", "a\n", "a\x00", "\udce9"])
def test_ids_that_can_not(case_id):
    with pytest.raises(DataError, match="file name"):
        safe_name(case_id)
    assert len(name_problems([case_id, "fine"])) == 1


@pytest.mark.parametrize(("value", "dtype"), [(2, np.uint8), (-1, np.int16), (300, np.float32)])
def test_one_stored_value_is_ignored(tmp_path, value, dtype):
    path = made.save(tmp_path / "seg.nii.gz", made.label((0, 1, value), dtype=dtype))
    expected = made.label((0, 1, IGNORED))
    np.testing.assert_array_equal(read_label_file(path, {0: 0, 1: 1}, ignore=value).array, expected)
    assert f"{value} (" in message(read_label_file, path, {0: 0, 1: 1})


def test_a_label_file_with_negative_values_is_told_how_to_ignore_one(tmp_path):
    path = made.save(tmp_path / "seg.nii.gz", made.label((0, 1, -1), dtype=np.int16))
    assert "have it ignored: dataset.ignore in a recipe, --labels VALUE=ignore in semiseg" in message(
        label_values, path
    )


def test_a_dataset_has_at_most_254_classes_and_ignores_no_value_of_a_class():
    def info(n, **more):
        values = {value: value for value in range(n + 1)}
        return DatasetInfo("d", ("ct",), tuple(map(str, values)), values, tuple(values), **more)

    assert not info(254).has_ignored
    assert info(254, ignore=255).has_ignored
    assert "255 classes besides the background; at most 254" in message(info, 255)
    with pytest.raises(DataError, match="the value 3 cannot be ignored, because it is also that of 3"):
        info(4, ignore=3)
