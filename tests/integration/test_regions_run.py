"""A run with overlapping regions as outputs: its label maps, its record, and resuming."""

import json

import nibabel as nib
import numpy as np
import pytest
from small_run import SMALL

import semiseg
from semiseg.errors import RecipeError, RunError
from semiseg.plugin import Role, Strategy
from semiseg.recipe.schema import Recipe

REGIONS = {"all": ["necrosis", "edema", "enhancing"], "core": ["necrosis", "enhancing"], "inner": ["enhancing"]}
RECIPE = {
    **SMALL,
    "training": {**SMALL["training"], "outputs": "regions", "epochs": 2},
    "evaluation": {"regions": REGIONS},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = tmp_path_factory.mktemp("regions") / "run"
    semiseg.run(RECIPE, output=run)
    return run


def test_predictions_are_label_maps_of_the_classes(finished):
    (path,) = (finished / "predictions" / "last").glob("*.nii.gz")
    assert set(np.unique(np.asarray(nib.load(path).dataobj)).tolist()) <= {0, 1, 2, 4}
    record = json.loads((finished / "model.json").read_text())
    assert record["regions"] == [[name, members] for name, members in REGIONS.items()]
    assert "overlapping regions: all, core, inner" in (finished / "report.html").read_text()


def test_new_images_are_predicted_as_the_run_predicted_them(finished, tmp_path):
    (path,) = (finished / "predictions" / "last").glob("*.nii.gz")
    name = path.name.removesuffix(".nii.gz")
    recipe = semiseg.load_recipe(finished / "recipe.yaml")
    dataset = semiseg.registry.create("dataset", "phantom", {"cases": 6, "size": [32, 32, 32]})
    (case,) = (case for case in dataset.cases() if case.id == name)
    assert recipe.training.outputs == "regions"
    (found,) = semiseg.predict(finished, list(case.images), tmp_path / "out", checkpoint="last")
    assert found.read_bytes() == path.read_bytes()


def test_regions_in_another_order_are_another_model(finished):
    # The order is that of the networks' outputs.
    turned = {**RECIPE, "evaluation": {"regions": dict(reversed(REGIONS.items()))}}
    with pytest.raises((RunError, RecipeError), match="regions"):
        semiseg.run(turned, output=finished, resume=True)


class WithoutRegions(Strategy):
    @classmethod
    def roles(cls, options):
        return (Role("model"),)

    def losses(self, batch, step):
        raise NotImplementedError


def test_a_strategy_that_has_no_regions_says_why():
    recipe = {**RECIPE, "strategy": {"name": WithoutRegions}}
    why = r"does not support: its losses are written for classes that exclude each other"
    with pytest.raises(RecipeError, match=why):
        semiseg.check(Recipe.model_validate(recipe), quick=True)
    none = {**RECIPE, "evaluation": {"regions": {}}}
    with pytest.raises(RecipeError, match=r"training\.outputs is regions, but dataset phantom has none"):
        semiseg.check(none, quick=True)
