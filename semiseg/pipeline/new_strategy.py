"""The strategy of a recipe with new networks: as a run creates it, and without memory, for checks."""

import warnings
from contextlib import suppress

import torch

from semiseg.engine.build import build_strategy
from semiseg.interfaces.strategy import Strategy
from semiseg.losses.dice_form import DiceForm
from semiseg.recipe.components import Components
from semiseg.recipe.schema import Recipe
from semiseg.types import Task


def new_strategy(recipe: Recipe, components: Components, task: Task, is_new: bool = True) -> Strategy:
    """Create the strategy. Unless ``is_new``, initial weights that roles start from are not read."""
    strategy, options = components.strategy, components.strategy_options
    roles, backbones = components.roles, components.backbones
    form = DiceForm(**recipe.training.dice.model_dump())
    return build_strategy(strategy, options, roles, backbones, task, recipe.seed, is_new, form)


def without_memory(recipe: Recipe, components: Components, task: Task) -> Strategy | None:
    """Return the strategy on the meta device; None if it cannot be created there."""
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # for example, that weights from a file are not loaded
        with torch.device("meta"):
            return new_strategy(recipe, components, task)
    return None
