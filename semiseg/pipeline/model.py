"""A strategy with its networks, as a run makes it and as a run folder keeps it."""

import warnings
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from semiseg.engine.build import build_strategy
from semiseg.engine.checkpoint import load_state
from semiseg.engine.runtime import Runtime
from semiseg.errors import Problem, RunError
from semiseg.inference.sliding_window import Predictor
from semiseg.interfaces.dataset import Dataset
from semiseg.interfaces.strategy import Strategy
from semiseg.io.json import read_json
from semiseg.pipeline.folder import RunFolder
from semiseg.pipeline.plan import Plan, timetable_of
from semiseg.recipe.components import Components, resolve
from semiseg.recipe.load import load_recipe
from semiseg.recipe.schema import Recipe
from semiseg.types import DatasetInfo, Task


@dataclass(frozen=True)
class Model:
    """A strategy with networks, and what is needed to use it on new images.

    ``precision`` is that of all forwards outside of training steps; ``spacing`` that of the training cases, as
    ``training_spacing`` gives it, where it is known.
    """

    recipe: Recipe
    components: Components
    info: DatasetInfo
    task: Task
    strategy: Strategy
    precision: str
    spacing: Mapping[str, Any] | None = None

    def predictor(self, device: torch.device | str, role: str | None = None) -> Predictor:
        """Predicts preprocessed images with the present weights, or with those of one role's network by itself."""
        return Predictor(self.strategy.to(device), self.task.patch_size, self.recipe.inference, device, role)

    def record(self) -> dict[str, Any]:
        """What a run folder keeps, so that a model can be used where its training data are not."""
        info = self.info
        return {
            "modalities": list(info.modalities),
            "classes": list(info.classes),
            "label_map": {str(k): v for k, v in info.label_map.items()},
            "class_values": list(info.class_values),
            "dataset": info.name,
            "patch_size": list(self.task.patch_size),
            "precision": self.precision,
            "spacing": self.spacing,
        }


def new_model(plan: Plan, runtime: Runtime) -> Model:
    """A model with freshly drawn weights; all forwards outside of training steps run in the runtime's precision."""
    return _assemble(plan.recipe, plan.components, plan.info, plan.task, runtime)


def try_strategy(plan: Plan) -> None:
    """Make the strategy and its stages as a run will, and drop them. Raises what the run would.

    On the meta device, which takes no memory. A strategy that cannot be made there, because it looks at its networks'
    values, is made with them.
    """
    with suppress(Exception), warnings.catch_warnings():  # an error counts if networks with values lead to one too
        warnings.simplefilter("ignore")  # such as that weights from a file are not taken
        with torch.device("meta"):
            strategy = _strategy(plan.recipe, plan.components, plan.task)
        timetable_of(plan, strategy)
        return
    timetable_of(plan, _strategy(plan.recipe, plan.components, plan.task))


@dataclass(frozen=True)
class KeptModel:
    """What a run folder says of its model: the recipe, and what ``Model.record`` kept."""

    folder: RunFolder
    recipe: Recipe
    record: Mapping[str, Any]

    @property
    def precision(self) -> str:
        """What the recipe's precision came to where the run began; the recipe's, where that was not kept."""
        return str(self.record.get("precision", self.recipe.training.precision))

    def load(self, checkpoint: str, runtime: Runtime) -> Model:
        """The model with its ``last`` or ``best`` weights; its training data need not be there.

        Raises RunError where the folder holds no such checkpoint, or a damaged one.
        """
        record = self.record
        info = DatasetInfo(
            record["dataset"],
            tuple(record["modalities"]),
            tuple(record["classes"]),
            {int(k): v for k, v in record["label_map"].items()},
            tuple(record["class_values"]),
        )
        x, y, z = record["patch_size"]
        components = resolve(self.recipe)
        components = replace(components, dataset=_as_recorded(components.dataset, info))
        model = _assemble(self.recipe, components, info, Task(len(info.modalities), info.classes, (x, y, z)), runtime)
        load_weights(model, self.folder.weights(checkpoint))
        return model


def kept_model(run: Path) -> KeptModel:
    """The model of a run as its folder keeps it. Raises RunError where the folder holds no run.

    The recipe is taken as it is written: a variable in the path of data need not be set where these are not.
    """
    folder = RunFolder(run)
    if not folder.recipe.exists() or not folder.model.exists():
        raise RunError(f"{run} is not a run folder: it has no recipe.yaml and model.json.")
    return KeptModel(folder, load_recipe(folder.recipe, expand=False), read_json(folder.model))


def load_weights(model: Model, path: Path) -> None:
    """Give the model a run's ``last`` or ``best`` weights. Raises RunError where the file is missing or damaged."""
    if not path.exists():
        fix = "The run has not come that far: go on with it by `semiseg run … --resume`."
        raise RunError(Problem("", f"There is no checkpoint {path}.", fix))
    model.strategy.load_state_dict(load_state(path)["strategy"])


def _as_recorded(dataset: Dataset, info: DatasetInfo) -> Dataset:
    """A dataset that knows what the run kept of it; by itself it may have to look into the folder it was trained on."""
    known = copy(dataset)
    known.info = lambda: info  # type: ignore[method-assign]
    return known


def _assemble(recipe: Recipe, components: Components, info: DatasetInfo, task: Task, runtime: Runtime) -> Model:
    strategy = _strategy(recipe, components, task)
    strategy.attach(lambda role: runtime.autocast())
    return Model(recipe, components, info, task, strategy, runtime.precision)


def _strategy(recipe: Recipe, components: Components, task: Task) -> Strategy:
    return build_strategy(
        components.strategy, components.strategy_options, components.roles, components.backbones, task, recipe.seed
    )
