"""The objects that a training is built from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from semiseg.engine.runtime import Runtime
from semiseg.engine.schedule import TrainingSchedule
from semiseg.engine.step_mode_choice import StepModeChoice
from semiseg.engine.validation import Validate
from semiseg.interfaces.batch import Batch
from semiseg.interfaces.strategy import Strategy
from semiseg.progress import Reporter


class Batches(Protocol):
    """The source of batches: a step's batch depends only on its number."""

    def steps(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps ``start`` to ``stop - 1``."""

    def finish(self, batch: Batch, step: int) -> Batch:
        """Complete a step's batch on the training device."""


@dataclass(frozen=True)
class TrainingSetup:
    """The objects that a training is built from."""

    strategy: Strategy
    redraw: Callable[[int], Mapping[str, nn.Module]]
    """Builds new networks by role for a stage (by number) that resets all."""
    timetable: TrainingSchedule
    choose: Callable[[], StepModeChoice]
    """Chooses the step mode of a new run; a resumed run keeps its mode."""
    batches: Batches
    prepare_stage: Callable[[int, bool, Callable[[], None]], None]
    """Called with the number of the next stage and whether it is just beginning. It may then predict the unlabeled
    cases, before any reset, and calls its last argument between cases."""
    validate: Validate | None
    """Scores the validation cases; None if there are none."""
    class_names: tuple[str, ...]
    runtime: Runtime
    folder: Path
    reporter: Reporter
    observe: Callable[[int, Mapping[str, Any]], None]
    """Called with each epoch's (step, record), for instance to draw curves."""
    model: str = ""
    """The digest of the model.json that the weights belong to; stored with them."""
