"""A small recipe, and run folders with weights that no training has made."""

from copy import deepcopy

import torch

from semiseg.engine.runtime import Runtime
from semiseg.io.json import read_json
from semiseg.pipeline.model import new_model
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe
from semiseg.runs.belonging import record_digest
from semiseg.runs.checkpoint import Checkpoints
from semiseg.runs.folder import RunFolder

SMALL = {
    "name": "small",
    "seed": 3,
    "dataset": {"name": "phantom", "cases": 6, "size": [32, 32, 32]},
    "split": {"test": ["Phantom_000"], "validation": ["Phantom_001"], "labeled": ["Phantom_002", "Phantom_003"]},
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2]},
    "strategy": {"name": "supervised"},
    "training": {"epochs": 1, "patch_size": [16, 16, 16]},
}


def changed(*, strategy=None, split=None, backbone=None, **training):
    """Return the small recipe with changes."""
    recipe = deepcopy(SMALL)
    recipe["training"].update(training)
    recipe["split"].update(split or {})
    recipe["backbone"].update(backbone or {})
    recipe["strategy"] = strategy or recipe["strategy"]
    return recipe


def planned(source=None, **changes):
    """Return the plan of the small recipe with initial weights and other changes."""
    return make_plan(load_recipe(changed(initial_weights=source, **changes)))


def networks(plan):
    """Return the new networks of a plan by role, as their state dicts."""
    strategy = new_model(plan, Runtime("cpu", "32")).strategy
    return {
        role: {key: value.clone() for key, value in net.state_dict().items()} for role, net in strategy.networks.items()
    }


def a_run(path, seed=7, checkpoint="best", record=None, **changes):
    """Write a run folder with weights drawn from another seed; return them by role."""
    plan = make_plan(load_recipe({**changed(**changes), "seed": seed}))
    model = new_model(plan, Runtime("cpu", "32"))
    folder = RunFolder(path)
    folder.path.mkdir(parents=True)
    folder.write_start(plan.recipe, plan.split.as_dict(), {**model.record(), **(record or {})})
    digest = record_digest(read_json(folder.model))
    Checkpoints(folder.checkpoints, print, digest).save_weights(checkpoint, model.strategy.state_dict(), 1)
    return _states(model)


def _states(model):
    return {role: dict(network.state_dict()) for role, network in model.strategy.networks.items()}


def equal(one, other):
    """Return whether two sets of weights are equal."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
