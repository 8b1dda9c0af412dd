"""An earlier run as a source of weights, and what differs between it and the run that starts from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from semiseg.errors import Problem, RecipeError, RunError, SemisegError
from semiseg.messages import some
from semiseg.pipeline.initial_weights.overlap import Seen, seen_by
from semiseg.pipeline.initial_weights.weight_files import Weights
from semiseg.planning.kept import as_planned
from semiseg.recipe.component_slots import plain, slots
from semiseg.recipe.components import find_components
from semiseg.recipe.dump import resolved
from semiseg.recipe.load import load_recipe
from semiseg.recipe.schema import Recipe
from semiseg.runs.belonging import read_record, require_belonging
from semiseg.runs.checkpoint import load_weights_of
from semiseg.runs.folder import RunFolder
from semiseg.types import DatasetInfo, Task


@dataclass(frozen=True)
class EarlierRun:
    """A run folder whose weights another run starts from: its recipe and the content of its model.json."""

    folder: RunFolder
    checkpoint: str
    recipe: Recipe
    record: Mapping[str, Any]
    notes: tuple[str, ...]
    roles: tuple[str, ...]
    """Its networks, those that predict first."""
    seen: tuple[Seen, ...]
    """The cases that its weights were made with, by itself and by the runs that it started from."""
    shapes: Weights = field(repr=False)
    """Its weights without values, on the meta device."""

    @property
    def title(self) -> str:
        """The run in a sentence."""
        return f"run {self.folder.path}"

    def weights(self, role: str, device: str) -> Weights:
        """Return one network's weights, on the "cpu" or "meta"."""
        file, start = self.folder.weights(self.checkpoint), f"networks.{role}."
        found = self.shapes if device == "meta" else load_weights_of(file, device)["strategy"]
        return {name.removeprefix(start): value for name, value in found.items() if name.startswith(start)}

    def has_classes_of(self, task: Task) -> bool:
        """Return whether its outputs mean the same as the task's: the same classes or regions, in the same order."""
        if tuple(self.record["classes"]) != task.classes:
            return False
        regions = [[region, [task.classes[i] for i in members]] for region, members in task.regions.items()]
        return bool(self.record.get("regions", []) == regions)


def open_run(path: Path, checkpoint: str) -> EarlierRun:
    """Open a run folder. Raises RunError or RecipeError if it is none, is damaged, or has no such weights yet."""
    folder = RunFolder(path)
    if not folder.recipe.exists() or not folder.model.exists():
        what = "is not a run folder: recipe.yaml or model.json is missing."
        raise RecipeError(Problem(str(path), what, "Give a run folder, or a file of weights."))
    record, weights = read_record(folder.model), folder.weights(checkpoint)
    folder.kept_recipe()
    if not weights.exists():
        raise RunError(Problem(str(path), f"has no {checkpoint} weights yet.", "Finish the run first."))
    state = load_weights_of(weights, "meta")
    notes = require_belonging(folder.model, record, weights, state)
    recipe = as_planned(load_recipe(folder.recipe, expand=False), record.get("planned", {}), folder.model)
    names = dict.fromkeys(name.split(".")[1] for name in state["strategy"] if name.startswith("networks."))
    found = find_components(list(slots(plain(recipe))), recipe.where)[0].get(("strategy",))
    roles = list(names)
    uses_unlabeled = recipe.training.batch.unlabeled > 0
    if found is not None:  # the strategy is installed
        predicting = {role.name for role in found.component.roles(found.options) if role.predicts}
        roles.sort(key=lambda name: name not in predicting)
        uses_unlabeled = uses_unlabeled and found.component.needs.unlabeled.uses
    seen = seen_by(folder, record["dataset"], uses_unlabeled=uses_unlabeled)
    return EarlierRun(folder, checkpoint, recipe, record, tuple(notes), tuple(roles), tuple(seen), state["strategy"])


def plan_notes(run: EarlierRun, recipe: Recipe, info: DatasetInfo, pairs: Mapping[str, str]) -> list[str]:
    """Return what differs from the earlier run's plan: backbones, modalities and preprocessing.

    ``pairs``: the role there by the role here.
    """
    here, there = resolved(recipe), resolved_or_plain(run.recipe)
    notes = []
    for role, other in pairs.items():
        if differing := _differing(_backbone(there, other), _backbone(here, role)):
            notes.append(f"the backbone of {role} differs from that of {other} in {run.title}: {differing}")
    if tuple(run.record["modalities"]) != info.modalities:
        names = f"{', '.join(run.record['modalities'])} there, {', '.join(info.modalities)} here"
        notes.append(f"the modalities differ from those of {run.title}: {names}")
    theirs, ours = ({**one["preprocessing"], "store": None} for one in (there, here))
    if differing := _differing(theirs, ours, "preprocessing."):
        notes.append(f"preprocessing differs from that of {run.title}: {differing}")
    return list(dict.fromkeys(notes))


def resolved_or_plain(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain data, with defaults as far as its components are installed."""
    try:
        return resolved(recipe)
    except SemisegError:
        data: dict[str, Any] = plain(recipe)
        return {**data, "preprocessing": recipe.preprocessing.model_dump(mode="json")}


def _backbone(data: Mapping[str, Any], role: str) -> dict[str, Any]:
    return dict(data["strategy"].get("networks", {}).get(role, data["backbone"]))


def _differing(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> str:
    """Return the keys with different values: ``norm 'batch' there, 'instance' here``."""
    keys = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    return some([f"{prefix}{key} {there.get(key)!r} there, {here.get(key)!r} here" for key in keys], 4)


def axes_problem(run: EarlierRun, task: Task, key: str) -> Problem | None:
    """Return a problem if the earlier run's patches have another number of sides."""
    theirs, ours = len(run.record["patch_size"]), task.spatial_dims
    if theirs == ours:
        return None
    what = f"{key}: patches of {run.title} have {theirs} sides, and {ours} here."
    return Problem("", what, "Weights are not converted: choose another run, or training.patch_size like its.")
