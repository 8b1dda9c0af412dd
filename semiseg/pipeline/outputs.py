"""The task of a recipe: classes, or regions as outputs of the networks (``training.outputs``)."""

import re
from collections.abc import Sequence

from semiseg.codings.region_table import MOST_REGIONS, region_notes
from semiseg.errors import Problem
from semiseg.pipeline.checks.plan_checks import region_problems, scored_regions
from semiseg.recipe.components import Components
from semiseg.recipe.schema import Recipe
from semiseg.types import DatasetInfo, Task

_SIDES = {"left": "left", "l": "left", "lt": "left", "right": "right", "r": "right", "rt": "right"}


def task_of(recipe: Recipe, info: DatasetInfo) -> Task:
    """Return the task; one of classes if the regions have problems, which are reported (``output_problems``)."""
    training = recipe.training
    regions: dict[str, tuple[int, ...]] = {}
    if training.outputs == "regions" and not region_problems(recipe, info):
        found = scored_regions(recipe, info)
        regions = {name: tuple(map(info.classes.index, members)) for name, members in found.items()}
    return Task(len(info.modalities), info.classes, training.patch, regions, target_spacing(recipe))


def target_spacing(recipe: Recipe) -> tuple[float, ...] | None:
    """Return the voxel size along the patch's axes to which images are resampled; None if they are not.

    One with other axes than the patch is a problem, which is reported (``normalization_problems``).
    """
    spacing = recipe.preprocessing.spacing
    return None if isinstance(spacing, str) or len(spacing) != len(recipe.training.patch) else spacing


def output_problems(components: Components, recipe: Recipe, info: DatasetInfo) -> list[Problem]:
    """Return problems if networks are to have regions as outputs and cannot."""
    if recipe.training.outputs == "classes":
        return []
    key, n = recipe.placed("training.outputs"), len(scored_regions(recipe, info))
    problems = []
    if not n:
        fix = "List them in evaluation.regions, as {NAME: [CLASS, …]}, or set it to classes."
        problems.append(Problem("", f"{key} is regions, but dataset {info.name} has none.", fix))
    elif n > MOST_REGIONS:
        what = f"{key} is regions, and there are {n}; at most {MOST_REGIONS} are supported."
        problems.append(Problem("", what, "List fewer in evaluation.regions."))
    if why := components.strategy.no_regions:
        what = f"{key} is regions, which strategy {recipe.strategy.name} does not support: {why}."
        problems.append(Problem("", what, "Set it to classes, or choose another strategy."))
    return problems


def has_sides(classes: Sequence[str]) -> bool:
    """Return whether some class is on the left and another on the right, by their names."""
    sides = [_sides(name) for name in classes]
    return {"left"} in sides and {"right"} in sides


def _sides(name: str) -> set[str]:
    """Return the sides in a class's name: ``left kidney``, ``leftKidney``, ``kidney_L``."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return {_SIDES[word.lower()] for word in words if word.lower() in _SIDES}


def mirror_notes(components: Components, recipe: Recipe, task: Task) -> list[str]:
    """Return a note if samples are mirrored left to right although left and right are different classes."""
    axes = components.augmentation.flipped_axes(task.spatial_dims)
    sides_in_plane = task.spatial_dims == 3 or recipe.preprocessing.slice_axis != "right"
    if not (0 in axes and sides_in_plane and has_sides(task.classes)):
        return []
    return [
        f"augmentation {recipe.augmentation.name} mirrors left to right, but left and right are different classes:"
        " set augmentation.flip_axes without left-right"
    ]


def output_notes(task: Task) -> list[str]:
    """Return notes on classes that a network with regions as outputs cannot predict."""
    return region_notes(task.regions, task.classes) if task.regions else []
