"""What ``check`` and ``run`` note of data that can be used: missing classes, cases not drawn, spacings that differ."""

import gzip
import shutil

import helpers_volumes as made
import numpy as np
import pytest

from semiseg import check, run
from semiseg.errors import DataError
from semiseg.init.propose import propose_recipe
from semiseg.pipeline.plan import make_plan, padding_note
from semiseg.pipeline.train import fill_store
from semiseg.preprocessing.spacing import mixed_spacing_note
from semiseg.progress import Reporter
from semiseg.recipe.load import load_recipe
from semiseg.types import Geometry

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
    found = [
        note for note in make_plan(load_recipe(recipe, changes)).notes if "training.batch_size.unlabeled is 0" in note
    ]
    assert bool(found) == noted
    if noted:
        assert found[0].endswith("training.batch_size.unlabeled is 0: 1 unlabeled case is not used")


def test_images_smaller_than_the_patch_are_counted_and_some_named():
    assert padding_note([]) == []
    assert padding_note(["a"]) == ["1 training image is smaller than the patch and is padded with background: a"]
    (many,) = padding_note(list("abcde"))
    assert many == "5 training images are smaller than the patch and are padded with background: a, b, c and 2 others"


def grids(*spacings, turn=None):
    axes = np.eye(4) if turn is None else turn
    return [Geometry(SHAPE, axes @ np.diag([*spacing, 1.0])) for spacing in spacings]


def test_spacings_that_differ_by_more_than_a_quarter_are_noted_by_axis():
    assert mixed_spacing_note([]) == []
    assert mixed_spacing_note(grids((1, 1, 4), (1.25, 1, 5), (1, 1, 4.5))) == []
    (note,) = mixed_spacing_note(grids((0.7, 0.7, 5), (1, 1, 1), (0.3, 0.5, 6)))
    assert "(min, median and max in mm: left-right 0.3, 0.7, 1; front-back 0.5, 0.7, 1; up-down 1, 5, 6)" in note
    assert "set preprocessing.spacing to auto" in note


def test_spacings_are_those_along_the_body_whatever_the_axes_of_the_files():
    turn = np.array([[0, 0, 1, 0], [1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # axes are A, I, R
    one, other = grids((2, 3, 1))[0], grids((3, 1, 2), turn=turn)[0]
    assert mixed_spacing_note([one, other]) == []
    assert mixed_spacing_note([one, *grids((2, 3, 1), turn=turn)])


def test_check_and_run_note_spacings_of_all_cases_of_the_split(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path / "cache"))

    def noted(quick=True):
        return [line for line in check(recipe, quick=quick) if "spacing differs" in line]

    assert noted() == []
    thick = made.LPS @ np.diag([1, 1, 5, 1.0])  # the test case
    for part, array in (("images", made.image(3, shape=SHAPE)), ("labels", made.label((0, 1, 5), SHAPE))):
        made.save(tmp_path / "labeled" / part / "d.nii.gz", array, thick)
    (line,) = noted()
    assert "up-down 1, 1, 5" in line
    assert noted(quick=False) == [line]

    class Listener(Reporter):
        said = ()

        def say(self, text):
            self.said += (text,)

    listener = Listener()
    fill_store(make_plan(load_recipe(recipe)), listener)
    assert line in listener.said


def many(tmp_path, count):
    """Cases whose labels hold so many values beside 0."""
    for number in range(4):
        made.save(tmp_path / "labeled" / "images" / f"{number}.nii.gz", made.image(number, shape=SHAPE))
        values = made.turned(tuple(range(count + 1)), number)
        made.save(tmp_path / "labeled" / "labels" / f"{number}.nii.gz", made.label(values, SHAPE, np.int16))
    return tmp_path


def test_more_classes_than_can_be_told_apart_are_one_message_of_init_check_and_run(recipe, tmp_path):
    root = many(tmp_path / "many", 256)
    recipe["dataset"] = {"name": "folder", "root": str(root), "classes": {f"c{v}": v for v in range(1, 257)}}
    found = []
    for call in (
        lambda: propose_recipe(root, gpu=False),
        lambda: check(recipe),
        lambda: run(recipe, tmp_path / "run"),
    ):
        with pytest.raises(DataError) as caught:
            call()
        found.append(str(caught.value))
    assert len(set(found)) == 1
    assert found[0].startswith("dataset folder: 256 classes besides the background; at most 254 are supported\n")


def test_254_classes_can_be_told_apart(recipe, tmp_path):
    root = many(tmp_path / "many", 254)
    dataset = {"name": "folder", "root": str(root), "classes": {f"c{v}": v for v in range(1, 255)}}
    reader = make_plan(load_recipe({**recipe, "dataset": dataset, "split": {"labeled": 2}})).components.dataset
    label = reader.read_label(reader.cases()[0]).array
    np.testing.assert_array_equal(label, made.label(tuple(range(255)), SHAPE))


def test_a_scan_under_two_ids_is_refused_across_roles_and_noted_in_training(recipe, tmp_path):
    images = tmp_path / "labeled" / "images"
    with gzip.open(images / "d.nii.gz") as file:
        (images / "a.nii").write_bytes(file.read())
    (images / "a.nii.gz").unlink()
    assert check(recipe, quick=True)[-1] == "No problems found."
    with pytest.raises(DataError) as refused:
        check(recipe)
    (problem,) = refused.value.problems
    assert problem.where == "cases a (labeled), d (test)"
    assert problem.what == "identical images, voxel by voxel, in test and training"

    shutil.copy(images / "b.nii.gz", tmp_path / "unlabeled" / "images" / "e.nii.gz")
    lines = check(recipe, overrides=["split={test: [c], validation: 0, labeled: all}"])
    assert "Note: 2 cases have the same image: a (labeled), d (labeled)." in lines
    assert "Note: 2 cases have the same image: b (labeled), e (unlabeled)." in lines


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
        "Note: judging by intensities, 1 case seems to have the modalities in a different order:"
        " f (dark looks like bright, bright looks like dark)."
    ) in lines
    split = "split={test: [a], validation: [b], labeled: [c, d, e, g, h], total: 5}"
    assert not any("different order" in line for line in check(two_modalities, overrides=[split]))
