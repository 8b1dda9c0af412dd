"""Presets of strategies: values for the options that a recipe does not set."""

import pytest
from jsonschema import Draft7Validator

from semiseg.errors import RecipeError
from semiseg.recipe.components import resolve
from semiseg.recipe.dump import resolved
from semiseg.recipe.jsonschema import recipe_schema
from semiseg.recipe.load import load_recipe

RECIPE = {
    "name": "one",
    "dataset": {"name": "phantom"},
    "split": {"labeled": 2},
    "backbone": {"name": "unet"},
    "strategy": {"name": "fixmatch"},
    "training": {"epochs": 1, "examples_per_epoch": 4, "patch_size": [16, 16, 16]},
}


def options(*overrides):
    return resolve(load_recipe(RECIPE, overrides)).strategy_options


def test_a_preset_sets_what_the_recipe_does_not():
    assert options("strategy.preset=paper").decay == 0.99
    short = options("strategy.preset=short", "strategy.threshold=0.7")
    assert (short.labels_from, short.threshold, short.cutmix) == ("teacher", 0.7, 0.8)
    assert options("strategy.preset=auto") == options()


def test_a_run_s_recipe_has_the_values_and_no_preset():
    strategy = resolved(load_recipe(RECIPE, ["strategy.preset=short"]))["strategy"]
    assert "preset" not in strategy
    assert (strategy["labels_from"], strategy["wait_share"]) == ("teacher", 0.3)


def test_a_preset_that_is_not_there_is_told_with_those_that_are(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "name: one\ndataset: {name: phantom}\nsplit: {labeled: 2}\nbackbone: {name: unet}\n"
        "strategy:\n  name: fixmatch\n  preset: papers\n"
        "training: {epochs: 1, examples_per_epoch: 4, patch_size: [16, 16, 16]}\n"
    )
    with pytest.raises(RecipeError) as error:
        resolve(load_recipe(file))
    message = str(error.value)
    assert "fixmatch has no preset 'papers' (" in message
    assert "recipe.yaml:7). Did you mean 'paper'?" in message
    assert "Set strategy.preset to auto or paper or short." in message


def test_another_strategy_s_preset_is_dropped_with_its_options():
    recipe = {**RECIPE, "strategy": {"name": "fixmatch", "preset": "short"}}
    assert resolve(load_recipe(recipe, ["strategy.name=pi_model"])).strategy.__name__ == "PiModel"


def test_the_json_schema_has_presets():
    schema = Draft7Validator(recipe_schema())
    assert schema.is_valid({**RECIPE, "strategy": {"name": "fixmatch", "preset": "paper"}})
    assert not schema.is_valid({**RECIPE, "strategy": {"name": "fixmatch", "preset": 3}})
