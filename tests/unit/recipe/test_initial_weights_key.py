"""``training.initial_weights``: a path, a block, or either by role."""

from pathlib import Path

import jsonschema
import pytest

from semiseg.errors import RecipeError
from semiseg.recipe.blocks.initial_weights import WeightsSource, sources
from semiseg.recipe.diff import recipe_hash
from semiseg.recipe.dump import dump_recipe, resolved
from semiseg.recipe.jsonschema import recipe_schema
from semiseg.recipe.load import load_recipe

RECIPE = {
    "name": "tiny",
    "dataset": {"name": "phantom", "cases": 4, "size": [32, 32, 32]},
    "split": {"labeled": 2},
    "backbone": "unet",
    "strategy": "cps",
}
FORMS = [
    ("runs/a", {None: WeightsSource(path=Path("/here/runs/a"))}),
    ({"path": "~/a.pt", "key": "ema"}, {None: WeightsSource(path=Path("/home/me/a.pt"), key="ema")}),
    (
        {"student_a": "${WEIGHTS}/a", "student_b": {"path": "b", "heads": "new"}},
        {
            "student_a": WeightsSource(path=Path("/weights/a")),
            "student_b": WeightsSource(path=Path("/here/b"), heads="new"),
        },
    ),
]


@pytest.fixture(autouse=True)
def places(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("WEIGHTS", "/weights")
    monkeypatch.setattr(Path, "absolute", lambda path: Path("/here") / path)


def loaded(value):
    return load_recipe({**RECIPE, "training": {"initial_weights": value}})


@pytest.mark.parametrize(("written", "meant"), FORMS)
def test_every_form_has_its_paths_expanded_and_survives_being_written(tmp_path, written, meant):
    recipe = loaded(written)
    assert sources(recipe.training.initial_weights) == meant
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe))
    again = load_recipe(tmp_path / "recipe.yaml", expand=False)
    assert again.training.initial_weights == recipe.training.initial_weights
    assert recipe_hash(again) == recipe_hash(recipe)


@pytest.mark.parametrize("written", [*(form for form, _ in FORMS), None])
def test_every_form_is_valid_in_an_editor(written):
    assert jsonschema.Draft7Validator(recipe_schema()).is_valid({**RECIPE, "training": {"initial_weights": written}})


def test_without_it_a_recipe_and_its_hash_are_as_before():
    assert "initial_weights" not in resolved(loaded(None))["training"]
    assert recipe_hash(loaded(None)) == recipe_hash(load_recipe(RECIPE)) != recipe_hash(loaded("runs/a"))


KNOWN = "path, role, checkpoint, overlap, key, prefix, heads"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"path": "a", "prefx": "b"}, f".prefx'. Did you mean 'prefix'?\n    Known keys of {{}}: {KNOWN}."),
        ({"student_a": {"path": "a", "weights": "last"}}, f".student_a: {KNOWN}."),
        ({"prefix": "a."}, "{}.path is missing."),
        (3, "{} must be a path, not 3."),
        ({"student_a": 3}, "{}.student_a must be a path, not 3."),
        (
            {"path": "a", "checkpoint": "first"},
            "training.initial_weights.checkpoint must be 'best' or 'last', not 'first'.",
        ),
    ],
)
def test_what_is_wrong_is_told_by_key(written, problem):
    with pytest.raises(RecipeError) as raised:
        loaded(written)
    assert len(raised.value.problems) == 1
    assert problem.format("training.initial_weights") in str(raised.value)
