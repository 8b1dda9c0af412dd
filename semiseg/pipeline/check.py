"""Checks of a recipe and its data before training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semiseg.data.draws import Draws
from semiseg.data.scan_checks import Statistics, channel_statistics, exchanged, same_scans, scan_digest
from semiseg.data.verify import verify_cases
from semiseg.engine.memory import MemoryEstimate
from semiseg.engine.runtime import accelerator
from semiseg.engine.step_mode_choice import StepModeChoice
from semiseg.errors import DataError, RecipeError, raise_all
from semiseg.messages import counted, some
from semiseg.pipeline.checks.pseudo_checks import PseudoCheck
from semiseg.pipeline.plan import Plan, grid_problems, is_smaller, make_plan, padding_note, picture_problems
from semiseg.pipeline.step_mode import forecast, launch, memory_problems
from semiseg.preprocessing.preparation import count_foreground
from semiseg.preprocessing.prepare import network_shape
from semiseg.preprocessing.slices import AXES, box_of, slice_axis
from semiseg.preprocessing.spacing import mixed_spacing_note
from semiseg.progress import Reporter
from semiseg.recipe.load import load_recipe
from semiseg.recipe.schema import Recipe
from semiseg.types import IGNORED, Case, Volume


def check(
    recipe: Recipe | Mapping[str, Any] | str | Path,
    *,
    overrides: Sequence[str] = (),
    quick: bool = False,
    reporter: Reporter | None = None,
) -> list[str]:
    """Check a recipe: its keys and components, the split, the patch, and every file of every case in the split.

    The strategy is created too, without memory for its networks, before any file is read.

    Labels of unlabeled and test cases are read only to check integrity, geometry and values; nothing of them is kept.

    Args:
        recipe: a recipe, a mapping with its content, the path of its file, or the name of a shipped one.
        overrides: changes such as ``"training.epochs=10"``.
        quick: read headers only; for labels, only those of NIfTI files.
        reporter: receives progress.

    Returns:
        Lines that describe the run: cases by role, steps, memory, and notes.

    Raises:
        SemisegError: with all problems at once. Errors from the strategy's own constructor are raised as in a run.
    """
    reporter = reporter or Reporter()
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    plan = make_plan(recipe, reporter=reporter)
    draws = plan.draws  # creates the strategy
    used = set(plan.split.ids())
    cases = [case for case in plan.cases if case.id in used]
    classes, images = _Classes(plan), _Images(plan)
    dataset = plan.components.dataset
    with reporter.work("reading headers" if quick else "reading cases", len(cases), unit="case") as meter:
        problems = verify_cases(
            dataset, cases, quick=quick, progress=meter.advance, look=classes.look, look_image=images.look
        )
    pseudo = PseudoCheck(dataset, plan.pseudo, plan.split.unlabeled)
    problems += pseudo.problems(reporter, quick)
    same, twice = same_scans(plan.split, images.digests)
    choice, memory = forecast(plan)
    wrong = memory_problems(plan, memory)
    if not problems:  # headers can be read
        problems += grid_problems(plan)
        wrong += picture_problems((dataset.read_geometry(case) for case in cases), plan)
    raise_all([*problems, *same, *wrong], DataError if problems or same else RecipeError)
    notes = [*_notes(plan), *([] if quick else [*classes.notes(), *twice, *images.notes(), *pseudo.notes()])]
    described = [*_describe(plan, draws, choice, memory), *([] if quick else classes.describe()), *pseudo.describe()]
    return [*described, *(f"Note: {note}." for note in notes), "No problems found."]


class _Counts(NamedTuple):
    """Numbers of voxels in a label: ignored, of foreground classes, and of all."""

    ignored: int
    foreground: int
    size: int

    @classmethod
    def of(cls, label: NDArray[np.uint8]) -> "_Counts":
        return cls(int(np.count_nonzero(label == IGNORED)), count_foreground(label, has_ignored=True), label.size)


class _Classes:
    """The classes and ignored voxels of the labeled cases. Other labels are left out: training does not use them."""

    def __init__(self, plan: Plan) -> None:
        self._info = plan.info
        self._labeled = {case.id for case in plan.split.labeled}
        self._missing = set(range(1, len(plan.info.classes)))
        self._counts: dict[str, _Counts] = {}

    def look(self, case: Case, label: Volume) -> None:
        """Mark the classes of a label as found, and count its ignored voxels; called from several threads at once."""
        if case.id in self._labeled:
            if self._info.has_ignored:
                self._counts[case.id] = _Counts.of(label.array)
            for index in tuple(self._missing):
                if (label.array == index).any():
                    self._missing.discard(index)

    def notes(self) -> list[str]:
        """Return notes on classes that occur in no label."""
        names = [f"{self._info.classes[i]} (value {self._info.class_values[i]})" for i in sorted(self._missing)]
        return [*([f"no labeled case has class {', '.join(names)}"] if names else []), *self._partly()]

    def _partly(self) -> list[str]:
        """Return notes on labeled cases with ignored voxels only, or with no foreground in the others."""
        unknown = sorted(case for case, counts in self._counts.items() if counts.ignored == counts.size)
        empty = sorted(case for case, counts in self._counts.items() if not counts.foreground and case not in unknown)
        return [
            f"{counted(len(cases), 'labeled case')} {'has' if len(cases) == 1 else 'have'} {what}: {some(cases, 5)}"
            for cases, what in ((unknown, "only ignored voxels"), (empty, "no foreground among the voxels not ignored"))
            if cases
        ]

    def describe(self) -> list[str]:
        """Return a line with the share of ignored voxels, if the dataset ignores a value."""
        if not self._counts:
            return []
        ignored, size = (sum(getattr(counts, name) for counts in self._counts.values()) for name in ("ignored", "size"))
        share = f"{ignored / size:.1%} of the voxels of the labeled cases"
        return [f"Ignored: {share} (value {self._info.ignore})"]


class _Images:
    """Checks across images: two cases with the same scan, and channels that seem swapped."""

    def __init__(self, plan: Plan) -> None:
        self._modalities = plan.info.modalities
        self._training = {case.id for case in (*plan.split.labeled, *plan.split.unlabeled)}
        self._statistics: dict[str, Statistics] = {}
        self.digests: dict[str, str] = {}

    def look(self, case: Case, image: Volume) -> None:
        """Keep a digest and a few statistics of an image; called from several threads at once."""
        self.digests[case.id] = scan_digest(image)
        colors = image.geometry.unit == "pixel" and len(case.images) == 1  # one file, in the order of its format
        if len(self._modalities) > 1 and not colors:
            self._statistics[case.id] = channel_statistics(image.array)

    def notes(self) -> list[str]:
        """Return notes on channels whose intensities look like another modality's."""
        found = {case_id: self._statistics[case_id] for case_id in sorted(self._statistics)}
        named = [f"{case_id} ({looks})" for case_id, looks in exchanged(found, self._training, self._modalities)]
        if not named:
            return []
        cases = "1 case seems" if len(named) == 1 else f"{len(named)} cases seem"
        return [f"judging by intensities, {cases} to have the modalities in a different order: {some(named, 5)}"]


def _describe(plan: Plan, draws: Draws, choice: StepModeChoice, memory: MemoryEstimate) -> list[str]:
    recipe, split, training = plan.recipe, plan.split, plan.recipe.training
    patch = " x ".join(map(str, training.patch))
    return [
        f"Recipe {recipe.name}: {recipe.strategy.name} with {recipe.backbone.name} on {plan.info.name}",
        f"Modalities: {', '.join(plan.info.modalities)}; classes: {', '.join(plan.info.classes)}",
        *plan.described(),
        *([f"Outputs: overlapping regions {', '.join(plan.task.regions)}"] if plan.task.regions else []),
        *_order_of_files(plan),
        f"Cases: {len(split.labeled)} labeled, {len(split.unlabeled)} unlabeled, {len(split.validation)} validation,"
        f" {len(split.test)} test, of {len(plan.cases)}",
        *([split.fold.describe(len(split.labeled), len(split.validation))] if split.fold else []),
        f"Training: {draws.described()} patches of {patch}",
        f"Step mode: {choice}",
        f"Estimated step memory in float32: {_gib(memory.total)} ({_gib(memory.batch)} batch,"
        f" {_gib(memory.activations)} activations, {_gib(memory.parameters)} weights, gradients and optimizer)",
    ]


def _order_of_files(plan: Plan) -> list[str]:
    """Return which file is used for which modality, if each has its own: file names may not show it."""
    case = next(iter(plan.split.labeled), None)
    if case is None or len(case.images) != len(plan.info.modalities) or len(case.images) < 2:
        return []
    files = (f"{name} {path.name}" for name, path in zip(plan.info.modalities, case.images, strict=True))
    return [f"Files of case {case.id}: {', '.join(files)}"]


def _notes(plan: Plan) -> list[str]:
    notes = list(plan.notes)
    if plan.sizes.mixed.unlabeled and not any(counts.unlabeled for counts in plan.draws.kinds):
        notes.append("no step uses unlabeled samples: the strategy waits until training ends")
    if not plan.split.validation:
        notes.append("no validation cases: the best checkpoint will be the last one")
    if not plan.split.test:
        notes.append("no test cases: nothing will be scored")
    if plan.recipe.training.step.mode == "split":
        notes.append(f"training.step.mode is split: start the run with {launch(plan)}")
    elif accelerator(plan.recipe.training.device) == "cuda" and not plan.recipe.training.deterministic:
        notes.append("on a GPU, the run chooses its step mode again, by timing trial steps")
    return [*notes, *_grid_notes(plan)]


def _grid_notes(plan: Plan) -> list[str]:
    """Return notes on the split's cases: images smaller than the patch, which are padded, and differing spacings."""
    dataset, patch = plan.components.dataset, plan.task.patch_size
    used = set(plan.split.ids())
    grids = {case.id: dataset.read_geometry(case) for case in plan.cases if case.id in used}
    trained = {case.id for case in (*plan.split.labeled, *plan.split.unlabeled)}  # as in the run's own note
    axes = {case_id: slice_axis(grid, plan.recipe.preprocessing.slice_axis) for case_id, grid in grids.items()}
    small = [
        case_id
        for case_id, grid in grids.items()
        if case_id in trained
        and is_smaller(network_shape(grid, plan.recipe.preprocessing), box_of(patch, axes[case_id]))
    ]
    slices = _slice_notes(axes) if len(patch) == 2 else []
    return [*slices, *padding_note(small), *mixed_spacing_note(grids.values(), plan.slices, plan.resamples)]


def _slice_notes(axes: Mapping[str, int]) -> list[str]:
    """Return a note if cases are sliced across different axes; a network of two dimensions then sees other views."""
    found = {axis: [case for case in axes if axes[case] == axis] for axis in sorted(set(axes.values()))}
    if len(found) < 2:
        return []
    named = (f"{AXES[axis]} {counted(len(cases), 'case')}, {some(cases, 3)}" for axis, cases in found.items())
    views = f"volumes are sliced across different axes ({'; '.join(named)})"
    return [f"{views}; set preprocessing.slice_axis to use one for all"]


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
