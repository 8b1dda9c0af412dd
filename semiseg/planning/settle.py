"""The plan: a recipe with each "auto" value replaced by one made from the data, and the reasons in words."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from semiseg.data.split import Split
from semiseg.errors import DataError, Problem, RecipeError
from semiseg.interfaces.dataset import Dataset
from semiseg.interfaces.strategy import BatchNeeds, StreamNeeds
from semiseg.messages import counted
from semiseg.planning.measures import CaseMeasures, measure_cases
from semiseg.planning.open_values import open_keys, with_values
from semiseg.planning.patches import plan_batch, plan_patch
from semiseg.planning.rules import (
    intensities_of,
    is_ct,
    median_shape,
    median_spacing,
    target_spacing,
    zero_is_background,
)
from semiseg.planning.wording import by, extents, text, value_range
from semiseg.preprocessing.slices import axis_of_slices
from semiseg.progress import Reporter
from semiseg.recipe.schema import BatchSize, Recipe
from semiseg.types import DatasetInfo, Shape

MEASURED = 100
"""Number of unlabeled cases of which images are read, besides all labeled ones."""
CPU_VOXELS = {2: 150_000, 3: 600_000}
"""Voxels of a training step on a CPU, where time is what limits it."""
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Machine:
    """What a training step may take.

    ``kind`` is "cpu" or "cuda"; ``fits`` returns whether a step of so many samples of such a patch fits into the
    memory, with these values of the plan; ``unfit`` whether the backbones object to a patch.
    """

    kind: str
    fits: Callable[[Shape, int, Values], bool]
    unfit: Callable[[Shape, Values], bool]


@dataclass(frozen=True, slots=True)
class Settled:
    """A recipe without "auto" values, these values by key as plain data, and their reasons by key, as sentences."""

    recipe: Recipe
    values: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def described(self) -> list[str]:
        """Return the plan in words, one line for each key."""
        return [f"Planned {key}: {text(self.values[key])}; {reason}" for key, reason in self.reasons.items()]


def settle(
    recipe: Recipe,
    dataset: Dataset,
    split: Split,
    root: Path,
    machine: Machine,
    needs: BatchNeeds = BatchNeeds(),  # noqa: B008 (frozen)
    reporter: Reporter | None = None,
) -> Settled:
    """Settle a recipe's "auto" values from its training cases.

    Labels of the labeled cases alone are read, of them and of up to 100 unlabeled ones the images; test and validation
    cases are not opened.

    Args:
        recipe: the recipe.
        dataset: its dataset.
        split: the cases by role.
        root: the folder of the case store, where measures are cached.
        machine: what a training step may take.
        needs: the samples that the strategy needs of each stream.
        reporter: receives progress.

    Raises DataError with every problem of every file.
    """
    keys = open_keys(recipe)
    if not keys:
        return Settled(recipe)
    every = [*split.labeled, *_some(split.unlabeled)]
    with (reporter or Reporter()).work("measuring training cases", len(every), unit="case") as meter:
        cases = measure_cases(dataset, every, root, meter.advance)
    planner = _Planner(recipe, dataset.info(), cases, len(split.labeled), len(split.unlabeled), machine, needs)
    planner.require_spacing()
    for key in keys:
        planner.settle(key)
    return Settled(planner.recipe, planner.values, planner.reasons)


def _some(cases: Sequence[Any]) -> Sequence[Any]:
    return cases[:: -(-len(cases) // MEASURED) or 1]


class _Planner:
    """Settles one key after the other; each may depend on those before."""

    def __init__(
        self,
        recipe: Recipe,
        info: DatasetInfo,
        cases: Sequence[CaseMeasures],
        n_labeled: int,
        n_unlabeled: int,
        machine: Machine,
        needs: BatchNeeds,
    ) -> None:
        self._needs = needs
        self.recipe, self._info, self._cases, self._machine = recipe, info, cases, machine
        self._labeled = cases[:n_labeled]
        self._streams = 2 if needs.unlabeled.uses and n_unlabeled else 1
        self._n_cases = n_labeled + (n_unlabeled if self._streams == 2 else 0)
        self.values: Values = {}
        self.reasons: dict[str, str] = {}

    def settle(self, key: str) -> None:
        value, reason = getattr(self, f"_{key.rpartition('.')[2]}")()
        if value == "auto":  # not needed
            return
        self.values[key], self.reasons[key] = value, reason
        try:
            self.recipe = with_values(self.recipe, {key: value})
        except ValidationError as error:
            said = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
            what = f"{key} is auto; made from the data it would be {text(value)} ({reason}), but {said}."
            raise RecipeError(Problem(self.recipe.where(key), what, "Set one of the two by hand.")) from error

    def _normalize(self) -> tuple[Any, str]:
        found = {
            name: "ct" if is_ct(name, index, self._cases) else "zscore"
            for index, name in enumerate(self._info.modalities)
        }
        kinds = set(found.values())
        if kinds == {"zscore"}:
            return "zscore", "no modality is CT by its name, its header or its values"
        which = ", ".join(name for name, method in found.items() if method == "ct")
        looks = [sum(case.channels[i].is_ct for case in self._cases) for i in range(len(found))]
        mixed = next((n for n in looks if 0 < n < len(self._cases)), None)
        but = "" if mixed is None else f"; only {mixed} of {len(self._cases)} training cases look like CT: are some MR?"
        return ("ct" if kinds == {"ct"} else found), f"CT by name, header or Hounsfield values: {which}{but}"

    def _foreground(self) -> tuple[Any, str]:
        normalize = self.recipe.preprocessing.normalize
        if "ct" in (normalize.values() if isinstance(normalize, dict) else (normalize,)):
            return "all", "in CT, 0 is water"
        if any(case.unit == "pixel" for case in self._cases):
            return "all", "the images are pictures"
        if zero_is_background(self._cases):
            return "nonzero", "many voxels are exactly 0"
        return "all", "few voxels are exactly 0"

    def _intensities(self) -> tuple[Any, str]:
        normalize = self.recipe.preprocessing.normalize
        names = self._info.modalities
        wanted = [name for name in names if (normalize[name] if isinstance(normalize, dict) else normalize) == "ct"]
        found = {name: intensities_of(names.index(name), self._labeled) for name in wanted}
        known = {name: one.model_dump() for name, one in found.items() if one is not None}
        if not wanted:
            return "auto", ""
        if len(known) < len(wanted):
            what = "CT is normalized by the intensities within the labeled classes, but no labeled case has any."
            raise DataError(what, "Label some, or set preprocessing.intensities, or preprocessing.normalize to zscore.")
        return known, f"within the classes of {counted(len(self._labeled), 'labeled case')}"

    def require_spacing(self) -> None:
        """Raise RecipeError if the recipe's voxel size or number has other axes than a patch made from the data."""
        sides, patch = 2 if self._is_flat() else 3, self.recipe.training.patch_size
        for name, given, auto in (("spacing", self._recipe_spacing(), ", or auto"), ("resize", self._resize(), "")):
            if given is not None and len(given) != sides and isinstance(patch, str):
                what = f"preprocessing.{name} has {len(given)} numbers, but training.patch_size is"
                what = f"{what} {patch}, which has {sides} sides here."
                fix = f"Give {sides} numbers (in the plane of the slices, two; for volumes, three){auto}."
                raise RecipeError(Problem(self.recipe.where(f"preprocessing.{name}"), what, fix))

    def _spacing(self) -> tuple[Any, str]:
        cases = [case for case in self._cases if case.spacing is not None]
        target = median_spacing(cases, self._axes) if self._is_flat() else target_spacing(cases)
        if target is None:
            return "none", "the files store no voxel size"
        if self._is_flat():
            why = f"in mm, the median in the plane of the slices of {counted(len(cases), 'training case')}"
            return list(target), why
        columns = zip(*(case.spacing for case in cases if case.spacing is not None), strict=True)
        ranges = " x ".join(value_range(column) for column in columns)
        return list(target), f"in mm along right, anterior and superior; training cases have {ranges}"

    def _patch_size(self) -> tuple[Any, str]:
        image, spacing = self._image()
        patch = plan_patch(image, spacing, self._fits, self._unfit, self._smallest_batch())
        limit = "the time of a step on a CPU" if self._machine.kind == "cpu" else "the memory of the GPU"
        whole = all(n >= size for n, size in zip(patch, image, strict=True))
        why = "it covers the median image" if whole else f"as much of the median image as {limit} allows"
        extent = "" if self._recipe_spacing() is None else f", {by(extents(patch, spacing))} mm"
        return list(patch), f"voxels{extent}: {why}, {by(image)}"

    def _batch_size(self) -> tuple[Any, str]:
        batch = plan_batch(
            self.recipe.training.patch, self._fits, self._voxels(), self._smallest_batch(), self._streams
        )
        each = batch // self._streams
        unlabeled = _in_groups(each, self._needs.unlabeled) if self._streams == 2 else 0
        size = BatchSize(labeled=_in_groups(each, self._needs.labeled), unlabeled=unlabeled)
        limit = "the time of a step on a CPU" if self._machine.kind == "cpu" else "the memory of the GPU"
        return size.model_dump(), f"as {limit} and the number of cases allow"

    def _smallest_batch(self) -> int:
        """Return nnU-Net's smallest batch, two samples; on a GPU of each stream."""
        return 2 if self._machine.kind == "cpu" else 2 * self._streams

    def _image(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the median shape of the networks' images along the patch's axes, and their voxel size."""
        target = self._recipe_spacing()
        spacing = target or median_spacing(self._cases, self._axes) or (1.0,) * (2 if self._is_flat() else 3)
        shape, resize = median_shape(self._cases, target, self._margin(), self._axes), self._resize()
        if resize is None:
            return shape, spacing
        sizes = tuple(size * n / new for size, n, new in zip(spacing, shape, resize, strict=True))
        return tuple(map(float, resize)), sizes

    def _voxels(self) -> float:
        """Return the approximate number of voxels of all training cases, in all slices."""
        image, _ = self._image()
        slices = median_shape(self._cases, None, self._margin(), self._across) if self._is_flat() else (1.0,)
        return math.prod(image) * math.prod(slices) * self._n_cases

    def _axes(self, case: CaseMeasures) -> Sequence[int]:
        """Return the axes of a case along which the patch lies."""
        across = self._across(case) if self._is_flat() else ()
        return [axis for axis in range(3) if axis not in across]

    def _across(self, case: CaseMeasures) -> Sequence[int]:
        """Return the axis across which a case is sliced."""
        if case.unit == "pixel":
            return (2,)
        return (axis_of_slices(case.shape, case.spacing or (1.0,) * 3, self.recipe.preprocessing.slice_axis),)

    def _margin(self) -> int | None:
        """Return the margin around the box to which images are cropped; None if they are not."""
        options = self.recipe.preprocessing
        return options.crop_margin if options.crop and options.foreground == "nonzero" else None

    def _is_flat(self) -> bool:
        patch = self.recipe.training.patch_size
        if isinstance(patch, str):
            return patch == "auto-2d" or all(case.unit == "pixel" for case in self._cases)
        return len(patch) == 2

    def _resize(self) -> tuple[int, ...] | None:
        resize = self.recipe.preprocessing.resize
        return None if resize == "none" else resize

    def _recipe_spacing(self) -> tuple[float, ...] | None:
        spacing = self.recipe.preprocessing.spacing
        return None if isinstance(spacing, str) else spacing

    def _fits(self, patch: Shape, samples: int) -> bool:
        if self._machine.kind == "cpu" and math.prod(patch) * samples > CPU_VOXELS[len(patch)]:
            return False
        return self._machine.fits(patch, samples, self.values)

    def _unfit(self, patch: Shape) -> bool:
        return self._machine.unfit(patch, self.values)


def _in_groups(samples: int, needs: StreamNeeds) -> int:
    """Return a number of samples that a strategy can take: the next smaller one, or its least."""
    least = max(needs.minimum, needs.unit if needs.uses else 0)
    groups = max(samples // needs.unit * needs.unit, least)
    return -(-groups // needs.unit) * needs.unit
