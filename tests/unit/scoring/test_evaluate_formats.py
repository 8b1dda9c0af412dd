"""Labels in other formats than NIfTI, against each other."""

import helpers_slicer as slicer
import numpy as np
import pytest

from semiseg.errors import DataError
from semiseg.scoring.evaluate import evaluate

AFFINE = np.array([[-0.8, 0, 0, 5], [0, -0.8, 0, 6], [0, 0, 2.5, 7], [0, 0, 0, 1]])
NAMES = {1: "liver", 2: "tumor"}


def label():
    array = np.zeros((9, 8, 7), np.uint8)
    array[1:7, 2:7, 1:6] = 1
    array[3:5, 3:5, 2:4] = 2
    return array


def dice(evaluation):
    return {score.class_name: score.value for score in evaluation.scores if score.metric == "dice"}


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd", ".nii.gz"])
def test_formats_may_differ(tmp_path, ending):
    predicted = label()
    predicted[1:4, 2:7, 1:6] = 0
    slicer.save(tmp_path / "p" / f"a{ending}", predicted, AFFINE)
    slicer.save(tmp_path / "r" / "a.nrrd", label(), AFFINE)
    liver, kept = np.count_nonzero(label() == 1), np.count_nonzero(predicted == 1)
    assert dice(evaluate(tmp_path / "p", tmp_path / "r"))["1"] == pytest.approx(2 * kept / (liver + kept))
    slicer.save(tmp_path / "p" / f"a{ending}", predicted[:-1], AFFINE)
    with pytest.raises(DataError, match="are on different grids: shape"):
        evaluate(tmp_path / "p", tmp_path / "r")


def test_axes_of_length_1_are_dropped(tmp_path):
    slicer.nibabel.save(slicer.nibabel.Nifti1Image(label()[..., None, None], AFFINE), tmp_path / "p.nii.gz")
    slicer.save(tmp_path / "r.nrrd", label(), AFFINE)
    assert set(dice(evaluate(tmp_path / "p.nii.gz", tmp_path / "r.nrrd")).values()) == {1}


def test_segments_are_scored_by_name(tmp_path):
    slicer.save(tmp_path / "p" / "a.nii.gz", label(), AFFINE)
    part = np.array([0, 2, 1], np.uint8)[label()[1:8, 2:8, 1:6]]
    segments = [("Tumor", 1, 0), ("liver", 2, 0)]
    slicer.segmentation(tmp_path / "r" / "a.seg.nrrd", part, AFFINE, segments, (1, 2, 1))
    folders = tmp_path / "p", tmp_path / "r"
    assert dice(evaluate(*folders, labels=NAMES)) == {"liver": 1, "tumor": 1}
    with pytest.raises(DataError, match="--labels '1=Tumor,2=liver'"):
        evaluate(*folders)
    with pytest.raises(DataError, match="it has segments that are no class: Tumor"):
        evaluate(*folders, labels={1: "liver", 2: "cyst"})
    found = dice(evaluate(*folders, labels={1: "liver", "other": "background"}))
    assert found == {"liver": 1}
