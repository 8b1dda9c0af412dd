"""The choice of a step mode: the one the recipe sets, or the fastest that fits into memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from semiseg.engine.probe import Measured
from semiseg.engine.step_modes import ModeName, StepMode
from semiseg.recipe import schema

WORTH_IT = 0.95
"""A smaller micro-batch is chosen for speed only if it takes less than this fraction of the time."""


@dataclass(frozen=True, slots=True)
class StepModeChoice:
    """A step mode and the reason for choosing it."""

    mode: StepMode
    reason: str

    def __str__(self) -> str:
        return f"{self.mode} ({self.reason})"

    def record(self) -> dict[str, Any]:
        """Return the entry for a checkpoint."""
        return {"name": self.mode.name, "micro_batch": self.mode.micro_batch, "reason": self.reason}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "StepModeChoice":
        """Restore a choice from a checkpoint's entry."""
        return cls(StepMode(record["name"], record["micro_batch"]), record["reason"])


def candidates(options: schema.StepMode, batch: int, is_exact: Callable[[StepMode], bool]) -> list[StepMode]:
    """Return the exact modes that the recipe allows, fastest first (by number of forward passes).

    ``batch`` is the number of samples per process in a step. joint with half the batch takes as much memory as
    alternating with the full batch, and one forward pass less, so joint comes first. split is used only on request.
    """
    names: tuple[ModeName, ...] = ("joint", "alternating") if options.mode == "auto" else (options.mode,)
    asked = options.micro_batch
    sizes = _halvings(batch) if asked == "auto" else [asked if asked < batch else None]
    return [mode for name in names for size in sizes if is_exact(mode := StepMode(name, size))]


def _halvings(batch: int) -> list[int | None]:
    sizes: list[int | None] = [None]
    while batch > 1:
        batch = -(-batch // 2)
        sizes.append(batch)
    return sizes


def choose(
    modes: Sequence[StepMode],
    estimate: Callable[[StepMode], int],
    room: int | None,
    probe: Callable[[StepMode], Measured | None] | None = None,
    sees_memory: bool = False,
) -> StepModeChoice:
    """Choose one of the modes, given fastest first: the first kind of mode that fits.

    Args:
        modes: at least one.
        estimate: estimates a mode's memory in bytes; called only if there is a choice.
        room: available bytes; None if unknown.
        probe: times a mode; returns None if memory ran out. Without a probe the largest micro-batch is chosen.
        sees_memory: the probe also measures memory (on a GPU), more accurately than the estimate. Otherwise the
            estimate decides what fits, and the first mode is chosen without timing if it fits.
    """
    if len(modes) == 1:
        return StepModeChoice(modes[0], "the only exact mode that the recipe allows")
    if room is None:
        return StepModeChoice(modes[0], "available memory is unknown")
    sizes = {mode: estimate(mode) for mode in modes}
    for name in dict.fromkeys(mode.name for mode in modes):
        fitting = [m for m in modes if m.name == name and sizes[m] <= (2 if sees_memory else 1) * room]
        if probe is None or (not sees_memory and (len(fitting) == 1 or modes[0] in fitting)):
            if fitting:
                return StepModeChoice(fitting[0], _by_estimate(fitting[0], modes[0], sizes, room))
        elif found := _measure(fitting, probe, room):
            return _fastest(found, room)
    least = min(modes, key=sizes.__getitem__)
    return StepModeChoice(
        least, f"the lowest step memory, although it takes about {_gib(sizes[least])} of {_gib(room)}"
    )


def _measure(
    modes: Sequence[StepMode], probe: Callable[[StepMode], Measured | None], room: int
) -> dict[StepMode, Measured]:
    # Smallest first: once one does not fit, the larger ones need no trial.
    found: dict[StepMode, Measured] = {}
    for mode in reversed(modes):
        result = probe(mode)
        if result is None or result.bytes > room:
            break
        found[mode] = result
    return found


def _fastest(found: Mapping[StepMode, Measured], room: int) -> StepModeChoice:
    best, *rest = reversed(list(found))
    for mode in rest:
        if found[mode].seconds < WORTH_IT * found[best].seconds:
            best = mode
    tried = "; ".join(f"{mode}: {result}" for mode, result in found.items())
    return StepModeChoice(
        best, f"the fastest of those whose step memory was measured to fit into {_gib(room)}: {tried}"
    )


def _by_estimate(mode: StepMode, first: StepMode, sizes: Mapping[StepMode, int], room: int) -> str:
    text = f"step memory about {_gib(sizes[mode])} in float32, of {_gib(room)}"
    return text if mode == first else f"{text}; {first} would take {_gib(sizes[first])}"


def _gib(count: int) -> str:
    return f"{count / 2**30:.3g} GiB"
