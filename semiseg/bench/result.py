"""Results of a bench: the time of each stage, and projected hours of the full recipe."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Name = Literal["prepare", "read", "augment", "wait", "step", "validate", "predict"]

TITLES: Mapping[Name, str] = {
    "prepare": "read and preprocess a case (once)",
    "read": "read a patch",
    "augment": "augment a patch",
    "wait": "wait for a batch",
    "step": "step: forward, backward, update",
    "validate": "validate a case",
    "predict": "predict a test case",
}
BEHIND: frozenset[Name] = frozenset({"prepare", "read", "augment"})
"""Stages excluded from the projected hours: already done, or contained in ``wait``."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: seconds per item, and their number in the full recipe (for "prepare", the number made here)."""

    name: Name
    seconds: float
    count: int

    @property
    def total(self) -> float:
        """Seconds of all items."""
        return self.seconds * self.count


@dataclass(frozen=True, slots=True)
class Machine:
    """Machine of the measurements, and the way that steps were computed.

    ``peak`` is the peak memory of steps in bytes: of the GPU, or of this process without one. ``room`` is the GPU's
    memory, 0 without one. ``workers`` is the number of processes that made samples; ``bf16`` is True if a GPU supports
    it.
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
        """True if training uses a GPU."""
        return self.room > 0


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Stages of a run, in order; ``batch`` is the number of samples per step."""

    recipe: str
    batch: int
    n_cases: int
    machine: Machine
    stages: tuple[Stage, ...]
    suggestions: tuple[str, ...] = ()

    def seconds(self, name: Name) -> float:
        """Return seconds per item of a stage; 0 if the run has no such stage."""
        return sum(stage.seconds for stage in self.stages if stage.name == name)

    def total(self, *names: Name) -> float:
        """Return seconds of the named stages in the full recipe; by default of all that count."""
        counted = names or tuple(stage.name for stage in self.stages if stage.name not in BEHIND)
        return sum(stage.total for stage in self.stages if stage.name in counted)

    @property
    def wait_share(self) -> float:
        """Share of training time, 0 to 1, in which steps wait for data."""
        return self.total("wait") / self.total("wait", "step")

    @property
    def hours(self) -> dict[str, float]:
        """Projected hours of training, validation, prediction of the test cases (last and best), and their total."""
        parts = {
            "training": self.total("wait", "step"),
            "validation": self.total("validate"),
            "prediction": self.total("predict"),
        }
        return {name: seconds / 3600 for name, seconds in (parts | {"total": self.total()}).items()}

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON data; seconds, bytes, shares from 0 to 1."""
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
    """Format a time with three digits and a suitable unit."""
    for unit, size, limit in (("ms", 1e-3, 1), ("s", 1, 120), ("min", 60, 7200)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    hours = seconds / 3600
    return f"{hours:.3g} h" if hours < 1000 else f"{hours:.0f} h"
