"""The values of a plan that are "auto" in the recipe: what a training step of its networks may take on this machine."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from semiseg.data.split import Split, make_split
from semiseg.data.store import default_root
from semiseg.engine.averages import averaged_roles
from semiseg.engine.memory import NetworkMemory, estimate_memory, measure_networks, memory_room, meta_networks
from semiseg.engine.runtime import accelerator, precision_on
from semiseg.engine.step_modes import StepMode
from semiseg.errors import RecipeError, raise_all
from semiseg.interfaces.dataset import Dataset
from semiseg.pipeline.checks.plan_checks import spatial_problems
from semiseg.pipeline.checks.preprocessing_checks import method_problems
from semiseg.pipeline.outputs import task_of
from semiseg.planning.open_values import open_keys, with_values
from semiseg.planning.settle import Machine, Settled, settle
from semiseg.progress import Reporter
from semiseg.recipe.components import Components
from semiseg.recipe.schema import Recipe
from semiseg.types import Case, DatasetInfo, Shape, Task


def settle_recipe(
    recipe: Recipe,
    components: Components,
    info: DatasetInfo,
    kept: Mapping[str, Any],
    reporter: Reporter | None = None,
) -> Settled:
    """Return the recipe with all "auto" values settled: the ``kept`` ones if they are complete, else from the data.

    Raises DataError with every problem of the split or of a file; RecipeError for values that do not go together.
    """
    keys = open_keys(recipe)
    if not keys:
        return Settled(recipe)
    known = {key: kept[key] for key in keys if key in kept}
    with suppress(ValidationError):  # model.json was edited: it is compared with the plan later
        if not open_keys(as_before := with_values(recipe, known)):
            return Settled(as_before, known, dict.fromkeys(known, "as when the run began"))
    dataset, options = components.dataset, recipe.preprocessing
    raise_all(method_problems(recipe, info), RecipeError)
    split = split_of(recipe, dataset, dataset.cases())
    root = Path(options.store or default_root()).expanduser()
    machine = _machine(recipe, components, info)
    return settle(recipe, dataset, split, root, machine, components.needs, reporter)


def measured_networks(
    recipe: Recipe, components: Components, networks: Mapping[str, nn.Module], task: Task
) -> list[NetworkMemory]:
    """Measure a recipe's networks (on the meta device) for the estimate of a step's memory."""
    averaged: tuple[str, ...] = ()
    if recipe.training.ema is not None:
        averaged = averaged_roles(components.strategy, components.strategy_options)
    return measure_networks(components.roles, networks, task, averaged)


def split_of(recipe: Recipe, dataset: Dataset, cases: Sequence[Case]) -> Split:
    """Return the recipe's split of a dataset's cases. Raises DataError with every problem."""
    draw = recipe.seed if recipe.split.draw is None else recipe.split.draw
    return make_split(cases, recipe.split, draw, dataset.folds() if recipe.split.folds == "dataset" else None)


def _machine(recipe: Recipe, components: Components, info: DatasetInfo) -> Machine:
    kind = accelerator(recipe.training.device)
    half = precision_on(recipe.training.precision, kind) != "32"
    room = memory_room(kind)

    def task(patch: Shape, values: Mapping[str, Any]) -> Task:
        return task_of(with_values(recipe, {**values, "training.patch_size": list(patch)}), info)

    def fits(patch: Shape, samples: int, values: Mapping[str, Any]) -> bool:
        if room is None:
            return True
        of = task(patch, values)
        if spatial_problems(components, of, recipe):  # reported by the plan
            return True
        networks = meta_networks(components.roles, components.backbones, of)
        measured = measured_networks(recipe, components, networks, of)
        found = estimate_memory(measured, of, StepMode("joint"), samples)
        return found.total - (found.activations // 2 if half else 0) <= room

    def unfit(patch: Shape, values: Mapping[str, Any]) -> bool:
        of = task(patch, values)
        if spatial_problems(components, of, recipe):
            return False
        return any(backbone.patch_problems(of) for backbone in components.backbones.values())

    return Machine(kind, fits, unfit)
