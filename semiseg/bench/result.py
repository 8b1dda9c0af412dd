"""What a bench came to: the time of each stage, and the hours that the full recipe would take."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Name = Literal["prepare", "read", "augment", "wait", "step", "validate", "predict"]

TITLES: Mapping[Name, str] = {
    "prepare": "reading and preparing a case, once",
    "read": "reading a patch",
    "augment": "augmenting it",
    "wait": "waiting for a batch",
    "step": "step: forward, backward, update",
    "validate": "validating a case",
    "predict": "predicting a test case",
}
BEHIND: frozenset[Name] = frozenset({"prepare", "read", "augment"})
"""Stages whose time is no part of the projected hours: they are done by now, or what ``wait`` waits for."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: seconds of one, and how many there are in the full recipe (of "prepare", how many were made here)."""

    name: Name
    seconds: float
    count: int

    @property
    def total(self) -> float:
        """Seconds of all."""
        return self.seconds * self.count


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures were measured on, and how a step was computed.

    ``peak`` is the most memory in bytes that steps took: of the GPU, else of this process. ``room`` is the GPU's
    memory, 0 without one. ``workers`` are the processes that made samples; ``bf16`` says whether a GPU has it.
    """

    device: str
    cores: int
    workers: int
    precision: str
    step_mode: str
    peak: int
    room: int = 0
    bf16: bool = False

    @property
    def has_gpu(self) -> bool:
        """Whether it is a GPU that trains."""
        return self.room > 0


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Stages in the order of a run, those that it has; ``batch`` is the number of samples of a step."""

    recipe: str
    batch: int
    n_cases: int
    machine: Machine
    stages: tuple[Stage, ...]
    suggestions: tuple[str, ...] = ()

    def seconds(self, name: Name) -> float:
        """Seconds of one; 0 where the run has no such stage."""
        return sum(stage.seconds for stage in self.stages if stage.name == name)

    def total(self, *names: Name) -> float:
        """Seconds of the named stages in the full recipe; of all that count, where none is named."""
        counted = names or tuple(stage.name for stage in self.stages if stage.name not in BEHIND)
        return sum(stage.total for stage in self.stages if stage.name in counted)

    @property
    def wait_share(self) -> float:
        """The share of training's time, 0 to 1, in which the step waits for data."""
        return self.total("wait") / self.total("wait", "step")

    @property
    def hours(self) -> dict[str, float]:
        """Projected hours of training, validation, prediction of the test cases (last and best), and all three."""
        parts = {
            "training": self.total("wait", "step"),
            "validation": self.total("validate"),
            "prediction": self.total("predict"),
        }
        return {name: seconds / 3600 for name, seconds in (parts | {"total": self.total()}).items()}

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON; seconds, bytes, shares from 0 to 1."""
        return {
            "recipe": self.recipe,
            "machine": asdict(self.machine),
            "batch": self.batch,
            "cases": self.n_cases,
            "stages": {stage.name: {"seconds": stage.seconds, "count": stage.count} for stage in self.stages},
            "hours": self.hours,
            "wait_share": self.wait_share,
            "suggestions": list(self.suggestions),
        }


def duration(seconds: float) -> str:
    """A time in three digits and the unit that suits it."""
    for unit, size, limit in (("ms", 1e-3, 1), ("s", 1, 120), ("min", 60, 7200)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    hours = seconds / 3600
    return f"{hours:.3g} h" if hours < 1000 else f"{hours:.0f} h"
