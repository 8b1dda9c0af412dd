import pytest
import torch
from torch import nn

from semiseg.engine.runtime import Runtime
from semiseg.errors import ComponentError
from semiseg.pipeline.model import new_model
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe
from semiseg.strategies.supervised import Supervised

RECIPE = {
    "name": "small",
    "dataset": {"name": "phantom", "cases": 4, "size": [32, 32, 32]},
    "split": {"test": 1, "labeled": 2},
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2]},
    "strategy": {"name": "supervised"},
    "training": {"epochs": 1, "patch_size": [16, 16, 16]},
}


class Weighed(Supervised):
    """Its weight of a loss is to be learned, but no role has it."""

    def __init__(self, options, networks):
        super().__init__(options, networks)
        self.log_variance = nn.Parameter(torch.zeros(()))


def test_a_strategy_s_own_parameters_are_refused_before_training():
    plan = make_plan(load_recipe(RECIPE).with_component("strategy", Weighed))

    with pytest.raises(ComponentError, match=r"Strategy Weighed has parameters .*: log_variance\."):
        new_model(plan, Runtime("cpu", "32"))
