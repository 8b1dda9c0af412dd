"""What a training is made of."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from semiseg.engine.choice import Choice
from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import Timetable
from semiseg.engine.validation import Validate
from semiseg.interfaces.batch import Batch
from semiseg.interfaces.strategy import Strategy
from semiseg.progress import Reporter


class Batches(Protocol):
    """Where batches come from: a step's batch depends on its number alone."""

    def steps(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps ``start`` to ``stop - 1``."""

    def finish(self, batch: Batch, step: int) -> Batch:
        """What is left to be done to a step's batch on the device that trains."""


@dataclass(frozen=True)
class Parts:
    """What a training is made of."""

    strategy: Strategy
    redraw: Callable[[int], Mapping[str, nn.Module]]
    """New networks by role, for a stage (its number) that resets all."""
    timetable: Timetable
    choose: Callable[[], Choice]
    """The step mode of a run that starts; one that is resumed keeps its own."""
    batches: Batches
    prepare_stage: Callable[[int, bool, Callable[[], None]], None]
    """Told the number of the stage whose batches come next, and whether it begins: then it may predict the unlabeled
    cases, before any reset. It calls its last argument between cases."""
    validate: Validate | None
    """Scores the validation cases; None where there are none."""
    class_names: tuple[str, ...]
    runtime: Runtime
    folder: Path
    reporter: Reporter
    observe: Callable[[int, Mapping[str, Any]], None]
    """Told each epoch's record (step, record), for instance to draw curves."""
    model: str = ""
    """The digest of the model.json that the weights belong to; they carry it."""
