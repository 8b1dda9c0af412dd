"""Averaged weights that nothing would predict with are refused before training."""

import pytest

from semiseg.errors import RecipeError
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.step_mode import forecast
from semiseg.recipe.load import load_recipe

FIXMATCH = ["strategy.name=fixmatch", "training.ema=0.99"]


def test_an_average_is_for_strategies_whose_trained_networks_predict():
    assert make_plan(load_recipe("quickstart", FIXMATCH)).recipe.training.ema == 0.99
    with pytest.raises(RecipeError, match="fixmatch predicts with teacher, which no optimizer trains"):
        make_plan(load_recipe("quickstart", [*FIXMATCH, "strategy.labels_from=teacher"]))


def test_the_memory_of_the_averages_is_estimated():
    without, averaged = (
        make_plan(load_recipe("quickstart", ["strategy.name=supervised", *more]))
        for more in ([], ["training.ema=0.99"])
    )
    (network,) = averaged.networks().values()
    more = forecast(averaged)[1].parameters - forecast(without)[1].parameters
    assert more == 4 * sum(p.numel() for p in network.parameters()) > 0
