"""Segmentations for 3D Slicer, as SimpleITK and this package's own reader read them back."""

import helpers_slicer as slicer
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from semiseg.io.formats.segments import Segment, read_segments, read_slicer_label
from semiseg.io.formats.segments_written import NamedValue, segmentation_bytes
from semiseg.types import Geometry

AFFINE = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3.0, 5.25], [0, 0, 0, 1]])
SEGMENTS = [
    NamedValue("liver", 1, (230, 60, 60)),
    NamedValue("tumor", 300, (70, 170, 80)),
    NamedValue("cyst", 7, (0,) * 3),
]


@pytest.fixture
def written(tmp_path):
    values = np.zeros((4, 5, 6), np.int32)
    values[1:3, 2:5, 1] = 1
    values[3, 0, 4:6] = 300
    path = tmp_path / "a.seg.nrrd"
    path.write_bytes(segmentation_bytes(values, Geometry((4, 5, 6), AFFINE), SEGMENTS))
    return path, values


def test_own_reader_gets_values_grid_and_names(written):
    path, values = written
    label, geometry = read_slicer_label(path)
    np.testing.assert_array_equal(label, values)
    np.testing.assert_allclose(geometry.affine, AFFINE, atol=1e-12)
    assert read_segments(path) == (Segment("liver", 1, 0), Segment("tumor", 300, 0), Segment("cyst", 7, 0))
    renamed, _ = read_slicer_label(path, {"Liver": 5, "tumor": 6, "cyst": 8})
    assert set(np.unique(renamed)) == {0, 5, 6}


def test_simpleitk_gets_voxels_grid_and_what_slicer_shows(written, tmp_path):
    path, values = written
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).transpose(2, 1, 0), values)
    same = sitk.ReadImage(str(slicer.save(tmp_path / "b.nii.gz", values, AFFINE)))
    np.testing.assert_allclose(image.GetOrigin(), same.GetOrigin())
    np.testing.assert_allclose(image.GetDirection(), same.GetDirection(), atol=1e-6)
    said = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    assert said["Segment0_Name"] == "liver"
    assert said["Segment1_LabelValue"] == "300"
    assert [float(x) for x in said["Segment0_Color"].split()] == pytest.approx(
        [230 / 255, 60 / 255, 60 / 255], abs=1e-5
    )
    assert said["Segment0_Extent"] == "1 2 2 4 1 1"
    assert said["Segment1_Extent"] == "3 3 0 0 4 5"
    assert said["Segment2_Extent"] == "0 -1 0 -1 0 -1"
    assert len({said[f"Segment{number}_ID"] for number in range(3)}) == 3
    assert said["Segmentation_MasterRepresentation"] == "Binary labelmap"


def test_equal_labels_are_equal_files_and_other_values_are_refused(written):
    path, values = written
    grid = Geometry((4, 5, 6), AFFINE)
    assert segmentation_bytes(values, grid, SEGMENTS) == path.read_bytes()
    values[0, 0, 0] = 2
    with pytest.raises(ValueError, match="no segment"):
        segmentation_bytes(values, grid, SEGMENTS)
