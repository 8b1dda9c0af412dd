"""A run of one fold: what ``check`` tells of it, and what its folder refuses."""

import json

import pytest

from semiseg import check
from semiseg.data.split import Split
from semiseg.errors import DataError, RecipeError, RunError
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.components import resolve
from semiseg.recipe.diff import Continuation, recipe_hash
from semiseg.recipe.load import load_recipe
from semiseg.runs.folder import RunFolder

RECIPE = {
    "name": "fold",
    "dataset": {"name": "phantom", "cases": 9, "size": [32, 32, 32]},
    "split": {"test": 2, "labeled": 5, "folds": 2, "fold": 1},
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0},
    "strategy": "supervised",
    "training": {"patch_size": [16, 16, 16], "device": "cpu"},
}


def test_check_describes_the_fold(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path))
    lines = check(RECIPE, quick=True)
    assert "Cases: 3 labeled, 2 unlabeled, 2 validation, 2 test, of 9" in lines
    assert any(line.startswith("Fold 1 of 2, counted from 0: 2 of 5 labeled cases are validation") for line in lines)
    assert not any("no validation cases" in line for line in lines)


def test_a_run_continues_with_its_own_fold_only(tmp_path):
    recipe = load_recipe(RECIPE)
    folder = RunFolder(tmp_path)
    folder.write_start(recipe, make_plan(recipe).split.as_dict(), {})
    assert json.loads(folder.split.read_text())["fold"] == 1
    assert folder.prepare(recipe, resume=True) == Continuation()
    with pytest.raises(RunError, match=r"split\.fold: was 1, is 0"):
        folder.prepare(load_recipe(RECIPE, ["split.fold=0"]), resume=True)
    with pytest.raises(RunError, match=r"split\.folds: was 2, is 3"):
        folder.prepare(load_recipe(RECIPE, ["split.folds=3"]), resume=True)


def test_a_recipe_is_that_of_a_fold_in_its_hash():
    hashes = {recipe_hash(load_recipe(RECIPE, [f"split.fold={k}"])) for k in (0, 1)}
    assert len({*hashes, recipe_hash(load_recipe({**RECIPE, "split": {"test": 2, "labeled": 5}}))}) == 3


def test_a_dataset_s_own_folds_are_used(monkeypatch):
    recipe = load_recipe(RECIPE, ["split.folds=dataset", "split.labeled=all"])
    with pytest.raises(DataError, match="the dataset has no folds of its own"):
        make_plan(recipe)
    dataset = resolve(recipe).dataset
    ids = [case.id for case in dataset.cases()]
    monkeypatch.setattr(type(dataset), "folds", lambda self: (tuple(ids[:4]), tuple(ids[4:])))
    split = make_plan(recipe).split
    assert {case.id for case in split.validation} == set(ids[4:]) - {case.id for case in split.test}
    assert (split.fold.number, split.fold.count) == (1, 2)


def test_notes_on_folds_are_those_of_the_plan(monkeypatch):
    recipe = load_recipe(RECIPE, ["split.folds=dataset", "split.labeled=all", "split.fold=0", "split.test=0"])
    dataset = resolve(recipe).dataset
    ids = [case.id for case in dataset.cases()]
    monkeypatch.setattr(type(dataset), "folds", lambda self: (tuple(ids[:4]), tuple(ids[4:8])))
    assert f"1 labeled case is in no fold and is never validated: {ids[8]}" in make_plan(recipe).notes


def test_a_recipe_with_validation_cases_besides_is_refused():
    with pytest.raises(RecipeError, match="split: with folds, labeled cases are the validation cases"):
        load_recipe(RECIPE, ["split.validation=1"])


def test_a_split_without_folds_counts_its_labeled_cases():
    assert Split((), (), (), ()).n_labels == 0
    plain = make_plan(load_recipe({**RECIPE, "split": {"test": 2, "validation": 1, "labeled": 5}})).split
    assert plain.n_labels == 5
