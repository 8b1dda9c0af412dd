"""A strategy with its networks, as created by a run and stored in a run folder."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from semiseg.engine.runtime import Runtime
from semiseg.errors import Problem, RecipeError, RunError
from semiseg.inference.image import Ensemble, Limit, Member
from semiseg.inference.sliding_window import Predictor
from semiseg.interfaces.dataset import Dataset
from semiseg.interfaces.strategy import Strategy
from semiseg.pipeline.new_strategy import new_strategy, without_memory
from semiseg.pipeline.outputs import target_spacing
from semiseg.pipeline.plan import Plan
from semiseg.planning.kept import as_planned
from semiseg.recipe.adopted import AdoptedLabels
from semiseg.recipe.components import Components, resolve
from semiseg.recipe.load import load_recipe
from semiseg.recipe.schema import Recipe
from semiseg.runs.belonging import read_record, require_belonging, require_patch
from semiseg.runs.checkpoint import load_weights_of
from semiseg.runs.fitting import fitting, require_fit
from semiseg.runs.folder import RunFolder
from semiseg.types import DatasetInfo, Task


@dataclass(frozen=True)
class Model:
    """A strategy with networks, and the information needed to use it on new images.

    ``precision`` applies to all forward passes outside training steps. ``spacing`` is that of the training cases, from
    ``training_spacing``, if known. ``planned`` has the values that are "auto" in the recipe as written.
    """

    recipe: Recipe
    components: Components
    info: DatasetInfo
    task: Task
    strategy: Strategy
    precision: str
    spacing: Mapping[str, Any] | None = None
    planned: Mapping[str, Any] = field(default_factory=dict)

    def predictor(self, device: torch.device | str, role: str | None = None, *, mirror: bool = False) -> Predictor:
        """Return a predictor for preprocessed images with the current weights, or those of one role's network alone.

        ``mirror``: predict the mean over all flips of ``flipped_axes``.
        """
        axes, options = self.flipped_axes if mirror else (), self.recipe.inference
        return Predictor(self.strategy.to(device), self.task.patch_size, options, device, role, axes)

    def member(self, device: torch.device | str, mirror: bool) -> Member:
        """Return the model, with its preprocessing, as one that predicts images, alone or with others."""
        return Member(self.predictor(device, mirror=mirror), self.recipe.preprocessing, self.info.modalities)

    def alone(self, device: torch.device | str) -> Ensemble:
        """Return the model as it predicts test cases, before postprocessing."""
        options = self.recipe.inference
        return Ensemble([self.member(device, options.mirror)], self.task.out_channels, Limit.of(options.memory_gib))

    @property
    def flipped_axes(self) -> tuple[int, ...]:
        """The axes that training flips."""
        return self.components.augmentation.flipped_axes(self.task.spatial_dims)

    def record(self) -> dict[str, Any]:
        """Return the content of model.json, with which the model can be used without its training data."""
        info = self.info
        return {
            "modalities": list(info.modalities),
            "classes": list(info.classes),
            "label_map": {str(k): v for k, v in info.label_map.items()},
            "class_values": list(info.class_values),
            **({"ignore": info.ignore} if info.has_ignored else {}),
            "dataset": info.name,
            "patch_size": list(self.task.patch_size),
            **({"regions": self._named_regions()} if self.task.regions else {}),
            **({"planned": dict(self.planned)} if self.planned else {}),
            "precision": self.precision,
            "spacing": self.spacing,
        }

    def _named_regions(self) -> list[list[Any]]:
        """Return the regions that networks output, in order, each with the names of its classes."""
        names = self.task.classes
        return [[region, [names[index] for index in members]] for region, members in self.task.regions.items()]


def new_model(plan: Plan, runtime: Runtime, *, is_trained: bool = True) -> Model:
    """Create a model with new weights; all forward passes outside training steps use the runtime's precision.

    Without ``is_trained``, its weights are not used, and initial ones that roles start from are not read.
    """
    model = _assemble(plan.recipe, plan.components, plan.info, plan.task, runtime, is_new=is_trained)
    return replace(model, planned=plan.planned)


@dataclass(frozen=True)
class KeptModel:
    """A run folder's model: the recipe and the content of ``Model.record``."""

    folder: RunFolder
    recipe: Recipe
    record: Mapping[str, Any]

    @property
    def precision(self) -> str:
        """The precision used when the run began; the recipe's, if that was not stored."""
        return str(self.record.get("precision", self.recipe.training.precision))

    @property
    def info(self) -> DatasetInfo:
        """The recorded modalities, classes and label values."""
        record = self.record
        return DatasetInfo(
            record["dataset"],
            tuple(record["modalities"]),
            tuple(record["classes"]),
            {int(k): v for k, v in record["label_map"].items()},
            tuple(record["class_values"]),
            ignore=record.get("ignore"),
        )

    @property
    def regions(self) -> dict[str, tuple[int, ...]]:
        """The regions that networks output, with their class indices; empty if they output classes."""
        classes = self.record["classes"]
        return {name: tuple(map(classes.index, members)) for name, members in self.record.get("regions", [])}

    def load(self, checkpoint: str, runtime: Runtime, say: Callable[[str], None] = lambda text: None) -> Model:
        """Load the model with its ``last`` or ``best`` weights; its training data need not be available.

        ``say`` is called if it cannot be verified that the weights belong to this folder's model. Raises RunError if
        the checkpoint is absent or damaged, or does not belong to the folder's model.json and recipe.yaml. If possible,
        this happens before memory is allocated for networks.
        """
        record, weights = self.record, self.folder.weights(checkpoint)
        state = _saved(weights)
        if state.get("checkpoint", checkpoint) != checkpoint:
            what = f"it has only the {state['checkpoint']} weights of its run, and {checkpoint} is asked for"
            raise RunError(Problem(str(weights), what, f"Use --checkpoint {state['checkpoint']}."))
        for note in require_belonging(self.folder.model, record, weights, state):
            say(f"Note: {note}.")
        self.folder.kept_recipe()
        require_patch(self.folder.model, record, self.recipe)
        info = self.info
        components = resolve(self.recipe)
        components = replace(components, dataset=_as_recorded(components.dataset, info))
        spacing = target_spacing(self.recipe)
        task = Task(len(info.modalities), info.classes, tuple(record["patch_size"]), self.regions, spacing)
        if (empty := without_memory(self.recipe, components, task)) is not None:
            require_fit(weights, state["strategy"], empty.state_dict(), _DESCRIBES)
        model = _assemble(self.recipe, components, info, task, runtime, is_new=False)
        _put_in(model, weights, state)
        return model


def kept_model(run: Path) -> KeptModel:
    """Return the model stored in a run folder. Raises RunError if the folder has no run or a damaged one.

    Variables in the recipe are not expanded: those in data paths need not be set where the data are absent.
    """
    folder = RunFolder(run)
    if not folder.recipe.exists() or not folder.model.exists():
        raise RunError(f"{run} is not a run folder: recipe.yaml or model.json is missing.")
    record = read_record(folder.model)
    try:
        recipe = load_recipe(folder.recipe, expand=False)
    except RecipeError:
        folder.kept_recipe()  # raises if the file is damaged, which is the better message
        raise
    return KeptModel(folder, as_planned(recipe, record.get("planned", {}), folder.model), record)


def load_weights(model: Model, path: Path) -> None:
    """Load a run's ``last`` or ``best`` weights into the model. Raises RunError if the file is missing or damaged."""
    _put_in(model, path, _saved(path))


_DESCRIBES = "the model in model.json and recipe.yaml"


def _saved(path: Path) -> dict[str, Any]:
    if not path.exists():
        ended = (path.parents[1] / "summary.json").exists()
        fix = (
            "The run has ended and is not trained again: restore the file from a copy of the run folder."
            if ended
            else "The run has not got this far: continue it with `semiseg run … --resume`."
        )
        raise RunError(Problem("", f"There is no checkpoint {path}.", fix))
    return load_weights_of(path)


def _put_in(model: Model, path: Path, state: Mapping[str, Any]) -> None:
    require_fit(path, state["strategy"], model.strategy.state_dict(), _DESCRIBES)
    with fitting(path):
        model.strategy.load_state_dict(state["strategy"])


def _as_recorded(dataset: Dataset, info: DatasetInfo) -> Dataset:
    """Return a copy of the dataset with the recorded info; the original may need the folder that it was trained on."""
    known = copy(dataset.inner if isinstance(dataset, AdoptedLabels) else dataset)
    known.info = lambda: info  # type: ignore[method-assign]
    return known


def _assemble(
    recipe: Recipe, components: Components, info: DatasetInfo, task: Task, runtime: Runtime, is_new: bool
) -> Model:
    strategy = new_strategy(recipe, components, task, is_new)
    strategy.attach(lambda role: runtime.autocast())
    return Model(recipe, components, info, task, strategy, runtime.precision)
