"""Regions are looked at before training, whoever names them."""

import dataclasses

import pytest

from semiseg.datasets.phantom import Phantom
from semiseg.errors import RecipeError
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe

RECIPE = {
    "name": "small",
    "dataset": {"name": "phantom", "cases": 4, "size": [32, 32, 32]},
    "split": {"test": 1, "labeled": 2},
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2]},
    "strategy": {"name": "supervised"},
    "training": {"epochs": 1, "patch_size": [16, 16, 16]},
}


class WrongRegions(Phantom):
    def info(self):
        return dataclasses.replace(super().info(), regions={"x": ("nothere",)})


def test_a_datasets_wrong_region_is_told_before_training():
    recipe = load_recipe(RECIPE).with_component("dataset", WrongRegions, cases=4, size=(32, 32, 32))
    with pytest.raises(RecipeError, match=r"dataset .*WrongRegions.*, region x: there is no class nothere"):
        make_plan(recipe)


def test_a_recipe_that_names_regions_is_not_refused_for_the_datasets():
    recipe = load_recipe({**RECIPE, "evaluation": {"regions": {}}})
    assert make_plan(recipe.with_component("dataset", WrongRegions, cases=4, size=(32, 32, 32))).regions == {}
