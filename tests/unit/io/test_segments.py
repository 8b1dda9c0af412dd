"""Segmentations of 3D Slicer: names, layers, overlaps, and a grid that is a part of the image's."""

import helpers_slicer as made
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from semiseg.errors import DataError
from semiseg.io.formats.segments import on_grid, read_segments, read_slicer_label
from semiseg.io.labels import read_label_header
from semiseg.io.volumes import read_label_file
from semiseg.types import Geometry, Volume

AFFINE = np.array([[0, 0.8, 0, -20], [-0.7, 0, 0, 31.25], [0, 0, 2.5, 7], [0, 0, 0, 1]])
SHAPE = (9, 8, 7)
VALUES = {"background": 0, "liver": 1, "tumor": 2}


def boxes(overlapping=False):
    liver, tumor = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    liver[1:6, 2:6, 1:6] = True
    tumor[5 if overlapping else 6 : 8, 3:5, 2:4] = True
    return liver, tumor


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


def test_one_layer_with_values_that_are_not_those_of_the_classes(tmp_path):
    liver, tumor = boxes()
    segments = [("Tumor ", 1, 0), ("liver", 2, 0)]
    path = made.segmentation(tmp_path / "a.seg.nrrd", (2 * liver + 1 * tumor).astype(np.uint8), AFFINE, segments)
    assert [(segment.name, segment.value, segment.layer) for segment in read_segments(path)] == [
        ("Tumor", 1, 0),
        ("liver", 2, 0),
    ]
    named = read_label_file(path, {0: 0, 1: 1, 2: 2}, values=VALUES)
    np.testing.assert_array_equal(named.array, 1 * liver + 2 * tumor)
    np.testing.assert_allclose(named.geometry.affine, AFFINE)
    stored, _ = read_slicer_label(path)
    np.testing.assert_array_equal(stored, 2 * liver + 1 * tumor)


def test_layers_with_equal_values(tmp_path):
    liver, tumor = boxes()
    layers = np.stack([liver, tumor], axis=-1).astype(np.uint8)
    path = made.segmentation(tmp_path / "a.seg.nrrd", layers, AFFINE, [("liver", 1, 0), ("tumor", 1, 1)])
    np.testing.assert_array_equal(read_slicer_label(path, VALUES)[0], 1 * liver + 2 * tumor)
    assert "several segments have the value 1: liver, tumor" in refusal(read_slicer_label, path)


def test_before_slicer_4_11_each_segment_is_1_in_its_own_layer(tmp_path):
    liver, tumor = boxes()
    layers = np.stack([liver, tumor], axis=-1).astype(np.uint8)
    path = made.segmentation(tmp_path / "a.seg.nrrd", layers, AFFINE, [("liver", None, None), ("tumor", None, None)])
    np.testing.assert_array_equal(read_slicer_label(path, VALUES)[0], 1 * liver + 2 * tumor)


def test_overlapping_segments_are_refused_with_their_voxels(tmp_path):
    liver, tumor = boxes(overlapping=True)
    layers = np.stack([liver, tumor], axis=-1).astype(np.uint8)
    path = made.segmentation(tmp_path / "a.seg.nrrd", layers, AFFINE, [("liver", 1, 0), ("tumor", 1, 1)])
    told = refusal(read_slicer_label, path, VALUES)
    assert f"{path}: tumor and liver overlap in {(liver & tumor).sum()} voxels" in told
    assert "Subtract the inner segment from the outer one" in told
    np.testing.assert_array_equal(read_slicer_label(path, {"liver": 3, "tumor": 3})[0], 3 * (liver | tumor))
    np.testing.assert_array_equal(read_slicer_label(path, {"liver": 3, "tumor": 0})[0], 3 * liver)


def test_segments_that_are_no_class_matter_if_they_have_voxels(tmp_path):
    liver, tumor = boxes()
    label = (1 * liver + 2 * tumor).astype(np.uint8)
    path = made.segmentation(
        tmp_path / "a.seg.nrrd", label, AFFINE, [("liver", 1, 0), ("Segment_1", 2, 0), ("x", 3, 0)]
    )
    told = refusal(read_slicer_label, path, VALUES)
    assert "it has segments that are no class: Segment_1\n    Classes: background, liver, tumor. Rename" in told
    label[tumor] = 0
    path = made.segmentation(tmp_path / "a.seg.nrrd", label, AFFINE, [("liver", 1, 0), ("Segment_1", 2, 0)])
    np.testing.assert_array_equal(read_slicer_label(path, VALUES)[0], liver)


def test_what_is_no_binary_segmentation_is_refused(tmp_path):
    liver, _ = boxes()
    label = (7 * liver).astype(np.uint8)
    path = made.segmentation(tmp_path / "a.seg.nrrd", label, AFFINE, [("liver", 1, 0)])
    assert "it has values that belong to no segment: 7" in refusal(read_slicer_label, path, VALUES)
    path = made.segmentation(tmp_path / "a.seg.nrrd", label, AFFINE, [("liver", 7, 2)])
    assert "it has 1 layers, but segments in others: liver" in refusal(read_segments, path)
    path = made.segmentation(tmp_path / "a.seg.nrrd", label, AFFINE, [("liver", "many", 0)])
    assert "its segments are not understood" in refusal(read_segments, path)
    made.segmentation(path, label, AFFINE, [("liver", 7, 0)])
    path.write_bytes(path.read_bytes().replace(b"Binary labelmap", b"Fractional labelmap"))
    assert "it is not a binary segmentation" in refusal(read_segments, path)
    made.save(path, label, AFFINE)  # a label map with that ending
    assert read_segments(path) == ()
    np.testing.assert_array_equal(read_slicer_label(path, VALUES)[0], label)


def test_a_part_of_the_grid_is_placed_on_the_whole(tmp_path):
    liver, tumor = boxes()
    whole = (1 * liver + 2 * tumor).astype(np.uint8)
    grid = Geometry((9, 8, 7), AFFINE)
    path = made.segmentation(
        tmp_path / "a.seg.nrrd", whole[1:8, 2:6, 1:6], AFFINE, [("liver", 1, 0), ("tumor", 2, 0)], start=(1, 2, 1)
    )
    part = Volume(*read_slicer_label(path, VALUES))
    assert part.geometry.shape == (7, 4, 5)
    placed = on_grid(path, part, grid)
    np.testing.assert_array_equal(placed.array, whole)
    assert placed.geometry is grid

    resampler = sitk.ResampleImageFilter()  # to the image's grid, as reference
    resampler.SetInterpolator(sitk.sitkNearestNeighbor)
    made.save(tmp_path / "image.nrrd", whole, AFFINE)
    resampler.SetReferenceImage(sitk.ReadImage(str(tmp_path / "image.nrrd")))
    reference = sitk.GetArrayFromImage(resampler.Execute(sitk.ReadImage(str(path)))).T
    np.testing.assert_array_equal(placed.array, reference)


def test_parts_that_are_not_of_the_grid(tmp_path):
    grid = Geometry((9, 8, 7), AFFINE)
    label = np.zeros((4, 4, 4), np.uint8)
    label[0] = 1

    def part(start):
        affine = AFFINE.copy()
        affine[:3, 3] += AFFINE[:3, :3] @ start
        return Volume(label, Geometry((4, 4, 4), affine))

    between = part((0.5, 0, 0))
    assert on_grid(tmp_path / "a.seg.nrrd", between, grid) is between
    assert "16 of its labeled voxels are outside of the image" in refusal(
        on_grid, tmp_path / "a.seg.nrrd", part((-1, 0, 0)), grid
    )
    beyond = on_grid(tmp_path / "a.seg.nrrd", part((7, 0, 0)), grid).array  # only background is outside
    assert np.count_nonzero(beyond) == 16
    assert beyond[7, :4, :4].all()


def test_a_header_alone_is_checked_but_gives_no_grid_to_compare(tmp_path):
    label = boxes()[0].astype(np.uint8)
    path = made.segmentation(tmp_path / "a.seg.nrrd", label, AFFINE, [("liver", 1, 0)])
    path.write_bytes(path.read_bytes()[:-20])
    assert read_label_header(path) is None
    path.write_bytes(path.read_bytes()[:200])
    assert "truncated" in refusal(read_label_header, path)
