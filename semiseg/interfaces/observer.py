"""The observer interface: what trackers of experiments learn of a run."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.interfaces.component import Component


@dataclass(frozen=True, slots=True)
class ObservedRun:
    """A run, as its observers know it.

    Attributes:
        name: the recipe's name.
        folder: the run folder, which exists.
        recipe: the resolved recipe as plain data: mappings, lists, texts and numbers.
        resumed: whether the run was begun before, by another process.
    """

    name: str
    folder: Path
    recipe: Mapping[str, Any]
    resumed: bool = False


class Observer(Component, ABC):
    """Follows a run, in its main process alone: for a tracker of experiments.

    ``begin`` comes first, then ``record`` once an epoch, then ``end`` or ``fail``. A run that is resumed has another
    object, whose first step may be one that was recorded before: a run repeats what it did since its last checkpoint,
    with the same values. An observer that raises an exception is left out for the rest of the run, which goes on.
    """

    @abstractmethod
    def begin(self, run: ObservedRun) -> None:
        """Start to follow a run; what must be known when it is resumed is kept in its folder."""

    @abstractmethod
    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Record the values after a step, by name: ``train/loss``, ``lr``, ``validation/dice/edema``; all finite."""

    def end(self, scores: Mapping[str, float], files: Sequence[Path]) -> None:
        """Record the end of a run.

        Args:
            scores: means over the test cases by name, such as ``test/last/dice/edema``; empty without test cases.
            files: those worth keeping, of the run folder: recipe, report, preview, score table.
        """

    def fail(self, reason: str) -> None:
        """Record that the run ended by an error or an interruption, after which it may be resumed."""
