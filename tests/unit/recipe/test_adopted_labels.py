"""Labels in the folders of ``dataset.adopted``, for datasets with files of their own format."""

import h5py
import helpers_slicer as slicer
import numpy as np
import pytest

from semiseg.data.digests import Digests
from semiseg.data.fingerprint import describe_reader
from semiseg.errors import DataError
from semiseg.recipe.adopted import AdoptedLabels
from semiseg.registry import create

SHAPE = (6, 5, 4)


@pytest.fixture
def dataset(tmp_path):
    """Three patients of ACDC in h5 files, each with image and label, (Z, Y, X)."""
    for number in (1, 2, 3):
        (tmp_path / "data").mkdir(exist_ok=True)
        with h5py.File(tmp_path / f"data/patient00{number}_frame01.h5", "w") as file:
            file["image"] = np.random.default_rng(number).random(SHAPE[::-1])
            file["label"] = np.full(SHAPE[::-1], number, np.uint8)
    return create("dataset", "acdc", {"root": tmp_path / "data"})


def affine_of(dataset):
    return dataset.read_geometry(dataset.cases()[0]).affine


def test_a_label_takes_the_place_of_the_case_s_own_in_any_dataset(dataset, tmp_path):
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[1:3, 2, 2] = 2
    place = slicer.save(tmp_path / "round/patient002_frame01.nii.gz", drawn, affine_of(dataset)).parent
    both = AdoptedLabels(dataset, [place])
    labels = {case.id: both.read_label(case).array for case in both.cases()}
    np.testing.assert_array_equal(labels["patient002_frame01"], drawn)
    assert (labels["patient001_frame01"] == 1).all()
    assert [case.patient for case in both.cases()] == ["patient001", "patient002", "patient003"]
    assert any("takes the place of the dataset's own: patient002_frame01" in note for note in both.notes())
    # What is stored of the images does not depend on labels that are drawn later.
    digests = Digests(tmp_path / "digests")
    assert describe_reader(both, digests) == describe_reader(dataset, digests)


def test_wrong_labels_are_told_with_their_files(dataset, tmp_path):
    place = slicer.save(tmp_path / "round/patient002_frame01.nii.gz", np.zeros((6, 5, 3)), affine_of(dataset)).parent
    case = AdoptedLabels(dataset, [place]).cases()[1]
    with pytest.raises(DataError, match=r"patient002_frame01.*are on different grids"):
        AdoptedLabels(dataset, [place]).read_label(case)
    slicer.save(tmp_path / "again/patient002_frame01.nii.gz", np.zeros(SHAPE), affine_of(dataset))
    slicer.save(tmp_path / "again/patient009_frame01.nii.gz", np.zeros(SHAPE), affine_of(dataset))
    with pytest.raises(DataError) as raised:
        AdoptedLabels(dataset, [place, tmp_path / "again", tmp_path / "gone"]).cases()
    said = str(raised.value)
    assert "3 problems" in said
    assert "it has two labels" in said
    assert "a label of patient009_frame01, which is no case of the dataset" in said
    assert f"{tmp_path / 'gone'}: this folder of dataset.adopted does not exist" in said
