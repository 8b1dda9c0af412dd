"""Measures of cases: what a header says about a modality, and that measures are kept by content."""

import nibabel
import numpy as np
import pytest
import SimpleITK

from semiseg.planning import measures
from semiseg.planning.measures import measure_cases, which_are_ct
from semiseg.registry import create
from semiseg.types import Case


def save(path, array, spacing=(1.0, 1.0, 2.0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*spacing, 1.0])), path)


@pytest.mark.parametrize(("modality", "expected"), [("MET_MOD_CT", True), ("MET_MOD_MR", False)])
def test_the_header_counts_more_than_the_values(tmp_path, modality, expected):
    path = tmp_path / "a.mha"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((3, 4, 5), np.int16)), path)
    path.write_bytes(path.read_bytes().replace(b"ElementType", f"Modality = {modality}\nElementType".encode()))
    values = np.full((1, 5, 4, 3), -1000, np.int16)
    values[0, 0] = 500  # would be CT
    assert which_are_ct(values, Case("a", (path,))) == [expected]
    assert which_are_ct(values, Case("b", (tmp_path / "b.nii.gz",))) == [True]


def test_measures_by_hand_and_from_the_cache(tmp_path, monkeypatch):
    image, label = np.zeros((6, 5, 4), np.float32), np.zeros((6, 5, 4), np.uint8)
    image[1:5, 1:4, 1:3] = 10
    image[2, 2, 1:3] = 20, 40
    label[2, 2, 1:3] = 1
    save(tmp_path / "d" / "labeled" / "images" / "a.nii.gz", image)
    save(tmp_path / "d" / "labeled" / "labels" / "a.nii.gz", label)
    dataset = create("dataset", "folder", {"root": tmp_path / "d", "classes": {"spot": 1}})
    (found,) = measure_cases(dataset, dataset.cases(), tmp_path / "store")
    assert (found.spacing, found.shape, found.box) == ((1, 1, 2), (6, 5, 4), (4, 3, 2))
    assert found.zeros == pytest.approx(1 - 24 / 120)
    (channel,) = found.channels
    assert (channel.is_ct, channel.count, channel.mean, channel.deviation) == (False, 2, 30, 10)
    assert channel.quantiles[0] == pytest.approx(20, abs=0.01)

    monkeypatch.setattr(measures, "_measure", None)  # not called again
    assert measure_cases(dataset, dataset.cases(), tmp_path / "store") == [found]
    without = [case.without_label() for case in dataset.cases()]
    with pytest.raises(TypeError):  # other measures: those without a label
        measure_cases(dataset, without, tmp_path / "store")
