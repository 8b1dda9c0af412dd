"""Where a study may be run, and the kind of what its models complain of together."""

import pytest
from ruamel.yaml import YAML

from semiseg.errors import ComponentError, DataError, RecipeError, RunError, StorageError
from semiseg.study import run as module
from semiseg.study.run import run_study

STUDY = {
    "name": "placed",
    "matrix": [{"strategy": "supervised", "split.labeled": [1, 2]}],
    "seeds": [1],
    "base": {
        "dataset": {"name": "phantom", "cases": 4, "size": [32, 32, 32]},
        "split": {"test": 1, "validation": 1, "labeled": 1, "total": 2},
        "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0},
        "training": {"epochs": 1, "patch_size": [16, 16, 16], "workers": 0},
    },
}


class Reached(Exception):  # noqa: N818 (no error)
    """The models are about to be checked."""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "study.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump(STUDY, file)
    return path


@pytest.fixture
def stopped(monkeypatch):
    def stop(*arguments, **options):
        raise Reached

    monkeypatch.setattr(module, "make_plans", stop)


@pytest.mark.usefixtures("stopped")
class TestPlace:
    def test_the_folder_of_a_run_is_refused_and_left_as_it_is(self, recipe, tmp_path):
        folder = tmp_path / "run"
        folder.mkdir()
        for name in ("recipe.yaml", "summary.json"):
            (folder / name).touch()
        with pytest.raises(RunError, match=r"run is not empty and contains no study\.\n    Choose another --output\."):
            run_study(recipe, folder)
        assert sorted(path.name for path in folder.iterdir()) == ["recipe.yaml", "summary.json"]

    def test_an_empty_one_and_a_study_s_are_taken(self, recipe, tmp_path):
        for names in ((), ("study.json", "models", "notes.txt")):
            folder = tmp_path / f"taken_{len(names)}"
            folder.mkdir()
            for name in names:
                (folder / name).touch()
            with pytest.raises(Reached):
                run_study(recipe, folder)

    def test_one_of_a_start_that_was_killed_is_taken(self, recipe, tmp_path):
        folder = tmp_path / "killed"
        (folder / "recipes").mkdir(parents=True)
        for name in ("study.yaml", ".tmp-7-0-study.json", ".lock-7", ".dead-lock-7", "recipes/.tmp-7-0-a.yaml"):
            (folder / name).touch()
        (folder / "lock.json").write_text("{")
        with pytest.raises(Reached):
            run_study(recipe, folder)

    def test_a_file_is_no_place(self, recipe):
        for place in (recipe, recipe / "x"):
            with pytest.raises(StorageError, match=r"cannot be created: .*\n    Choose another --output"):
                run_study(recipe, place)


def test_a_split_of_more_cases_than_there_are_is_the_data_s_fault(recipe, tmp_path):
    with pytest.raises(DataError) as caught:
        run_study(recipe, tmp_path / "out", overrides=["split.test=50"])
    assert caught.value.exit_code == 3


def test_problems_of_several_kinds_are_the_recipe_s(recipe, tmp_path, monkeypatch):
    kinds = iter([DataError("one"), ComponentError("two")])

    def fail(*arguments, **options):
        raise next(kinds)

    monkeypatch.setattr(module, "make_plan", fail)
    with pytest.raises(RecipeError, match=r"(?s)one.*two"):
        run_study(recipe, tmp_path / "out")
