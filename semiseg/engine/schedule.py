"""The timetable of a training: epochs, stages, and the steps that a learning-rate schedule covers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from semiseg.errors import ComponentError
from semiseg.interfaces.batch import Step
from semiseg.interfaces.strategy import Stage


@dataclass(frozen=True, slots=True)
class StageSpan:
    """A stage with its first step and the step after its last, and the same for its learning-rate schedule."""

    stage: Stage
    start: int
    stop: int
    schedule_start: int
    schedule_stop: int

    def in_schedule(self, index: int) -> tuple[int, int]:
        """Return a step's index within its learning-rate schedule, and the schedule's length."""
        return index - self.schedule_start, self.schedule_stop - self.schedule_start


class TrainingSchedule:
    """All steps of a training, divided into epochs and stages.

    An epoch has as many steps as batches of ``batch`` samples have ``examples``, whatever a step draws.
    """

    def __init__(self, stages: Sequence[Stage], epochs: int, examples: int, batch: int, seed: int) -> None:
        self.epoch_length = math.ceil(examples / batch)
        self.epochs = epochs
        self.total = epochs * self.epoch_length
        self.seed = seed
        self.spans = _spans(stages, self.total)

    def span(self, index: int) -> StageSpan:
        """Return the stage that a step belongs to."""
        return next(span for span in self.spans if span.start <= index < span.stop)

    def step(self, index: int) -> Step:
        """Return the information on a step that a strategy receives."""
        span = self.span(index)
        return Step(
            index=index,
            total=self.total,
            epoch_length=self.epoch_length,
            stage=span.stage.name,
            stage_index=index - span.start,
            stage_total=span.stop - span.start,
            seed=self.seed,
        )


def _spans(stages: Sequence[Stage], total: int) -> tuple[StageSpan, ...]:
    if not math.isclose(sum(stage.share for stage in stages), 1.0, abs_tol=1e-6):
        raise ComponentError(f"The shares of the stages add up to {sum(s.share for s in stages)}, not to 1.")
    if stages[0].pseudo_labels:
        raise ComponentError(
            f"The first stage, {stages[0].name}, cannot have pseudo-labels: no network has learned yet."
        )
    for stage in stages:
        if stage.pseudo_labels and not stage.unlabeled:
            raise ComponentError(f"Stage {stage.name} has pseudo-labels, but uses no unlabeled samples.")
    bounds = [round(total * sum(s.share for s in stages[:i])) for i in range(len(stages) + 1)]
    # A schedule continues through stages that keep the optimizer.
    heads = [i for i, stage in enumerate(stages) if i == 0 or stage.reset != "none"]
    spans = []
    for i, stage in enumerate(stages):
        head = max(h for h in heads if h <= i)
        tail = min([h for h in heads if h > i], default=len(stages))
        spans.append(StageSpan(stage, bounds[i], bounds[i + 1], bounds[head], bounds[tail]))
    return tuple(spans)
