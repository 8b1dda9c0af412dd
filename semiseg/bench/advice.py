"""Suggestions from measurements, each with the numbers that support it."""

import math
from collections.abc import Callable, Collection, Iterator

from semiseg.bench.result import BenchResult, duration
from semiseg.recipe.schema import Recipe
from semiseg.registry import current_name
from semiseg.types import Shape

WAITING, VALIDATING, FULL = 0.05, 0.2, 0.9
"""Thresholds of suggestions: share of training spent waiting, of the run in validation, of memory used."""
LONG = 24 * 3600
"""Seconds of steps above which cheaper steps are suggested."""


def advice(
    result: BenchResult,
    recipe: Recipe,
    augmentations: Collection[str],
    fits: Callable[[Shape], bool],
    has_targets: bool = False,
) -> tuple[str, ...]:
    """Return suggestions, largest estimated gain first.

    Args:
        result: the measurements.
        recipe: the measured recipe.
        augmentations: names of installed augmentations.
        fits: returns whether the networks accept a patch of these sides.
        has_targets: whether the strategy has targets computed from labels, which are better computed by workers.
    """
    found = [
        *_data(result, recipe, augmentations, has_targets),
        *_steps(result, recipe, fits),
        *_validation(result, recipe),
    ]
    share = result.total("step") / result.total()
    return tuple(found) or (f"No bottleneck found: steps take {share:.0%} of the time.",)


def _data(result: BenchResult, recipe: Recipe, augmentations: Collection[str], has_targets: bool) -> Iterator[str]:
    if result.wait_share < WAITING:
        return
    read, augment = result.seconds("read"), result.seconds("augment")
    why = f"steps wait for data {result.wait_share:.0%} of the training time"
    yield from _workers(result, result.batch * (read + augment), why)
    if (
        current_name("augmentation", recipe.augmentation.name) == "luque2023"
        and "fused" in augmentations
        and augment > read
    ):
        yield (
            f"augmentation.name=fused: {why}, and augmentation takes {augment / (read + augment):.0%} of a sample's"
            f" time ({duration(augment)} of {duration(read + augment)}); fused does the same in one pass."
        )
    may_move = recipe.training.augmentation_on == "workers" and not has_targets
    if recipe.augmentation.name == "fused" and may_move and result.machine.has_gpu and augment > read:
        yield (
            f"training.augmentation_on=device: {why}, and augmentation takes"
            f" {augment / (read + augment):.0%} of a sample's time ({duration(augment)} of {duration(read + augment)});"
            " the GPU augments whole batches."
        )
    if read >= augment:
        yield (
            f"preprocessing.store=FOLDER on a local disk: {why}, and reading takes {read / (read + augment):.0%} of a"
            f" sample's time ({duration(read)} of {duration(read + augment)})."
        )


def _workers(result: BenchResult, batch: float, why: str) -> Iterator[str]:
    machine, step = result.machine, result.seconds("step")
    needed = min(math.ceil(batch / step), machine.cores - 1)
    if needed <= machine.workers:
        return
    text = f"training.workers={needed}: {why}. Preparing a batch of {result.batch} samples takes {duration(batch)}"
    if machine.workers:
        text += f" in one process, {duration(batch / machine.workers)} in {machine.workers}"
        text += f" and {duration(batch / needed)} in {needed}; a step takes {duration(step)}."
    else:
        text += f" before each step of {duration(step)}; workers would do it during the step"
        text += "." if machine.has_gpu else ", but share its cores."
    yield text


def _steps(result: BenchResult, recipe: Recipe, fits: Callable[[Shape], bool]) -> Iterator[str]:
    machine, steps = result.machine, result.total("step")
    share = f"steps take {duration(steps)}, {steps / result.total():.0%} of the time"
    if machine.has_gpu and machine.precision == "32" and machine.bf16:
        yield (
            f"training.precision=bf16: {share}, in float32 with {_gib(machine.peak)} of {_gib(machine.room)};"
            " bf16 halves the memory of activations."
        )
    if not machine.has_gpu and steps > LONG:
        yield f"Use a GPU: {share}, {duration(result.seconds('step'))} each on {machine.cores} CPU cores."
    full = machine.has_gpu and machine.peak > FULL * machine.room
    smaller = _smaller(recipe.training.patch)
    if (steps > LONG or full) and smaller != recipe.training.patch and fits(smaller):
        part = math.prod(smaller) / math.prod(recipe.training.patch)
        memory = f", with {_gib(machine.peak)} of {_gib(machine.room)}" if machine.has_gpu else ""
        yield (
            f"training.patch_size={list(smaller)}: {share}{memory}; with {part:.0%} of the voxels they would take"
            f" about {duration(part * steps)}, but networks would see less context."
        )


def _smaller(patch: Shape) -> Shape:
    """Return sides of three quarters, rounded down to multiples of 16."""
    return tuple(max(16, side * 3 // 4 // 16 * 16) if side > 16 else side for side in patch)


def _validation(result: BenchResult, recipe: Recipe) -> Iterator[str]:
    spent, total = result.total("validate"), result.total()
    if spent < VALIDATING * total:
        return
    every = recipe.training.validation.every
    # Makes validation a tenth of the remaining time.
    rarer = min(math.ceil(every * spent / (0.1 * (total - spent))), recipe.training.epochs)
    if rarer > every:
        yield (
            f"training.validation.every={rarer}: validation takes {duration(spent)}, {spent / total:.0%} of the time,"
            f" and would then take about {duration(spent * every / rarer)}."
        )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
