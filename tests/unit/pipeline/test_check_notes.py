"""What ``check`` notes of data that can be used: classes that no labeled case has, cases that are not drawn."""

import gzip
import shutil

import helpers_volumes as made
import numpy as np
import pytest

from semiseg import check
from semiseg.errors import DataError
from semiseg.pipeline.plan import make_plan, padding_note
from semiseg.recipe.load import load_recipe

SHAPE = (16, 16, 16)


@pytest.fixture
def recipe(tmp_path):
    """Cases a to e, of which d has a label with class rare, and e has none."""
    for seed, name in enumerate("abcde"):
        part = "unlabeled" if name == "e" else "labeled"
        made.save(tmp_path / part / "images" / f"{name}.nii.gz", made.image(seed, shape=SHAPE))
        values = (0, 1, 5) if name == "d" else (0, 1)
        if name != "e":
            made.save(tmp_path / part / "labels" / f"{name}.nii.gz", made.label(values, SHAPE))
    return {
        "name": "notes",
        "seed": 0,
        "dataset": {"name": "folder", "root": str(tmp_path), "classes": {"common": 1, "rare": 5, "never": 7}},
        "split": {"test": ["d"], "validation": ["c"], "labeled": "all"},
        "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0},
        "strategy": {"name": "cps"},
        "training": {"patch_size": [16, 16, 16], "device": "cpu"},
    }


def notes(recipe, *overrides, quick=False):
    return [line for line in check(recipe, overrides=overrides, quick=quick) if line.startswith("Note: no labeled")]


def test_a_class_that_no_labeled_case_has_is_noted(recipe):
    # The test case's label has rare, which is nothing that training could learn from, or that may be told.
    assert notes(recipe) == ["Note: no labeled case has class rare (value 5), never (value 7)."]
    assert notes(recipe, "split={test: [a], validation: [b], labeled: all}") == [
        "Note: no labeled case has class never (value 7)."
    ]


def test_nothing_is_noted_where_every_class_is_there_or_no_label_was_read(recipe):
    assert notes(recipe, quick=True) == []
    split = "split={test: [a], validation: [b], labeled: all}"
    assert notes(recipe, split, "dataset.classes={common: 1, rare: 5}") == []


@pytest.mark.parametrize(
    ("changes", "noted"),
    [
        ([], False),
        (["training.batch_size.unlabeled=0"], True),
        (["training.batch_size.unlabeled=0", "strategy.name=supervised"], False),
        (["training.batch_size.unlabeled=0", "split.total=2"], False),
    ],
)
def test_unlabeled_cases_that_are_never_drawn_are_noted(recipe, changes, noted):
    found = [note for note in make_plan(load_recipe(recipe, changes)).notes if "no unlabeled sample is drawn" in note]
    assert bool(found) == noted
    if noted:
        assert found[0].endswith("training.batch_size.unlabeled is 0: 1 unlabeled case is not used")


def test_images_smaller_than_the_patch_are_counted_and_some_named():
    assert padding_note([]) == []
    assert padding_note(["a"]) == ["1 image is smaller than the patch and is padded with background: a"]
    (many,) = padding_note(list("abcde"))
    assert many == "5 images are smaller than the patch and are padded with background: a, b, c and 2 others"


def test_a_scan_under_two_ids_is_refused_across_roles_and_noted_in_training(recipe, tmp_path):
    images = tmp_path / "labeled" / "images"
    with gzip.open(images / "d.nii.gz") as file:
        (images / "a.nii").write_bytes(file.read())
    (images / "a.nii.gz").unlink()
    assert check(recipe, quick=True)[-1] == "Nothing is wrong."
    with pytest.raises(DataError) as refused:
        check(recipe)
    (problem,) = refused.value.problems
    assert problem.where == "cases a (labeled), d (test)"
    assert problem.what == "their images are equal, voxel by voxel, in test and training"

    shutil.copy(images / "b.nii.gz", tmp_path / "unlabeled" / "images" / "e.nii.gz")
    lines = check(recipe, overrides=["split={test: [c], validation: 0, labeled: all}"])
    assert "Note: the same image is there as 2 cases: a (labeled), d (labeled)." in lines
    assert "Note: the same image is there as 2 cases: b (labeled), e (unlabeled)." in lines


@pytest.fixture
def two_modalities(tmp_path):
    """Eight cases of dark and bright images; of case f the two are exchanged."""
    for number, name in enumerate("abcdefgh"):
        dark = made.image(number, shape=SHAPE) // 9 + 1
        bright = made.image(number + 20, shape=SHAPE) + 2000
        for channel, array in enumerate((bright, dark) if name == "f" else (dark, bright)):
            made.save(tmp_path / "labeled" / "images" / f"{name}_{channel:04d}.nii.gz", array.astype(np.int16))
        made.save(tmp_path / "labeled" / "labels" / f"{name}.nii.gz", made.label((0, 1), SHAPE))
    return {
        "name": "two",
        "seed": 0,
        "dataset": {"name": "folder", "root": str(tmp_path), "classes": {"x": 1}, "modalities": ["dark", "bright"]},
        "split": {"test": ["a"], "validation": ["b"], "labeled": "all"},
        "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0},
        "strategy": {"name": "supervised"},
        "training": {"patch_size": [16, 16, 16], "device": "cpu"},
    }


def test_the_files_are_told_by_modality_and_a_case_in_another_order_is_noted(two_modalities):
    lines = check(two_modalities)
    assert "Files of case c: dark c_0000.nii.gz, bright c_0001.nii.gz" in lines
    assert (
        "Note: by their intensities 1 case seems to have modalities in another order than the rest:"
        " f (dark looks like bright, bright looks like dark)."
    ) in lines
    split = "split={test: [a], validation: [b], labeled: [c, d, e, g, h], total: 5}"
    assert not any("another order" in line for line in check(two_modalities, overrides=[split]))
