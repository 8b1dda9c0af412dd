"""A strategy with its networks, as a run makes it and as a run folder keeps it."""

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
from semiseg.pipeline.plan import Plan
from semiseg.recipe.components import Components, resolve
from semiseg.recipe.load import load_recipe
from semiseg.recipe.schema import Recipe
from semiseg.types import DatasetInfo, Task


@dataclass(frozen=True)
class Model:
    """A strategy with networks, and what is needed to use it on new images.

    ``precision`` is that of all forwards outside of training steps.
    """

    recipe: Recipe
    components: Components
    info: DatasetInfo
    task: Task
    strategy: Strategy
    precision: str

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
        }


def new_model(plan: Plan, runtime: Runtime) -> Model:
    """A model with freshly drawn weights; all forwards outside of training steps run in the runtime's precision."""
    return _assemble(plan.recipe, plan.components, plan.info, plan.task, runtime)


def load_model(run: Path, checkpoint: str, runtime: Runtime) -> Model:
    """The model of a finished run, with its ``last`` or ``best`` weights; its training data need not be there.

    Raises RunError where the folder holds no such checkpoint, or a damaged one.
    """
    recipe, record = read_model(run)
    info = DatasetInfo(
        record["dataset"],
        tuple(record["modalities"]),
        tuple(record["classes"]),
        {int(k): v for k, v in record["label_map"].items()},
        tuple(record["class_values"]),
    )
    x, y, z = record["patch_size"]
    components = resolve(recipe)
    components = replace(components, dataset=_as_recorded(components.dataset, info))
    model = _assemble(recipe, components, info, Task(len(info.modalities), info.classes, (x, y, z)), runtime)
    load_weights(model, RunFolder(run).weights(checkpoint))
    return model


def read_model(run: Path) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a run, and what ``Model.record`` kept. Raises RunError where the folder holds no run.

    The recipe is taken as it is written: a variable in the path of data need not be set where these are not.
    """
    folder = RunFolder(run)
    if not folder.recipe.exists() or not folder.model.exists():
        raise RunError(f"{run} is not a run folder: it has no recipe.yaml and model.json.")
    return load_recipe(folder.recipe, expand=False), read_json(folder.model)


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
    strategy = build_strategy(
        components.strategy, components.strategy_options, components.roles, components.backbones, task, recipe.seed
    )
    strategy.attach(lambda role: runtime.autocast())
    return Model(recipe, components, info, task, strategy, runtime.precision)
