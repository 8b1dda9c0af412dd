"""How many samples of each stream every step of a training draws."""

import sys
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from semiseg.messages import counted


class Counts(NamedTuple):
    """Numbers of labeled and unlabeled samples of a step."""

    labeled: int
    unlabeled: int

    @property
    def total(self) -> int:
        """Samples of both streams."""
        return self.labeled + self.unlabeled


@dataclass(frozen=True, slots=True)
class Phase:
    """Consecutive steps, ``start`` to ``stop - 1``, that draw the same numbers of samples."""

    start: int
    stop: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Draws:
    """The numbers of samples of every step, by phases that follow one another from step 0."""

    phases: tuple[Phase, ...]

    @classmethod
    def same(cls, labeled: int, unlabeled: int) -> "Draws":
        """Return the same numbers for all steps."""
        return cls((Phase(0, sys.maxsize, Counts(labeled, unlabeled)),))

    @classmethod
    def of(cls, parts: Iterable[Phase]) -> "Draws":
        """Return consecutive parts, without empty ones, and with those joined that draw the same numbers."""
        phases: list[Phase] = []
        for part in parts:
            if part.start == part.stop:
                continue
            if phases and phases[-1].counts == part.counts:
                phases[-1] = Phase(phases[-1].start, part.stop, part.counts)
            else:
                phases.append(part)
        return cls(tuple(phases))

    def at(self, step: int) -> Counts:
        """Return the numbers of samples of a step."""
        return self.phases[bisect_right(self.phases, step, key=lambda phase: phase.start) - 1].counts

    @property
    def kinds(self) -> tuple[Counts, ...]:
        """The different numbers that steps draw, in the order in which they first occur."""
        return tuple(dict.fromkeys(phase.counts for phase in self.phases))

    @property
    def n_samples(self) -> int:
        """The number of samples of the whole training."""
        return sum((phase.stop - phase.start) * phase.counts.total for phase in self.phases)

    def described(self) -> str:
        """Return the numbers in words: "40 steps of 4 labeled, then 60 steps of 2 labeled and 2 unlabeled"."""
        return ", then ".join(
            f"{counted(phase.stop - phase.start, 'step')} of {phase.counts.labeled} labeled"
            + (f" and {phase.counts.unlabeled} unlabeled" if phase.counts.unlabeled else "")
            for phase in self.phases
        )
