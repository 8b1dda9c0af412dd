"""What ``check`` notes of data that can be used: classes that no labeled case has, cases that are not drawn."""

import helpers_volumes as made
import pytest

from semiseg import check
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
