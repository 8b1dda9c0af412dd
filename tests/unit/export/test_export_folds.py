"""The folds of an exported dataset."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from semiseg.data.split import Split
from semiseg.export.nnunet_folds import nnunet_folds
from semiseg.types import Case


def cases(*names):
    """Cases "a1", "a2" … of the patients "a" …"""
    return tuple(Case(name, (Path(f"{name}.nii.gz"),), Path("l.nii.gz"), name[0]) for name in names)


def folds(labeled, validation=()):
    return nnunet_folds(Split(cases(*labeled), (), cases(*validation), cases("z1")))


def test_fold_0_is_the_split_and_the_others_divide_the_labeled_cases_by_patient():
    assert folds(["a1", "a2", "b1", "c1"], ["d1"]) == [
        {"train": ["a1", "a2", "b1", "c1"], "val": ["d1"]},
        {"train": ["b1", "c1", "d1"], "val": ["a1", "a2"]},
        {"train": ["a1", "a2", "c1", "d1"], "val": ["b1"]},
        {"train": ["a1", "a2", "b1", "d1"], "val": ["c1"]},
    ]


def test_without_validation_cases_the_labeled_ones_are_divided():
    assert [fold["val"] for fold in folds(["a1", "b1"])] == [["a1"], ["b1"]]
    assert folds(["a1", "a2"]) == []


@given(st.sets(st.sampled_from([f"{p}{n}" for p in "abcdefgh" for n in range(2)]), min_size=1), st.booleans())
def test_every_case_is_validated_once_and_no_patient_is_on_both_sides(labeled, has_validation):
    validation = ["y1", "y2"] if has_validation else []
    found = folds(sorted(labeled), validation)
    assert len(found) <= 5
    if found:
        assert sorted(name for fold in found for name in fold["val"]) == sorted([*labeled, *validation])
    for fold in found:
        assert fold["val"]
        assert sorted([*fold["train"], *fold["val"]]) == sorted([*labeled, *validation])
        assert not {name[0] for name in fold["train"]} & {name[0] for name in fold["val"]}
