"""The samples that a recipe's steps draw: how many of each stream, in steps with unlabeled samples and without."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from semiseg.data.draws import Counts, Draws, Phase
from semiseg.engine.schedule import TrainingSchedule
from semiseg.interfaces.strategy import BatchNeeds, Strategy
from semiseg.messages import counted
from semiseg.recipe.schema import BatchSize, Training


@dataclass(frozen=True, slots=True)
class StepSizes:
    """The samples of a step that uses unlabeled ones, if the training has any, and of one that uses labels alone."""

    mixed: Counts
    alone: Counts

    @property
    def largest(self) -> int:
        """The most samples that a step may draw."""
        return max(self.mixed.total, self.alone.total)


def step_sizes(batch: BatchSize, needs: BatchNeeds, any_unlabeled: bool) -> tuple[StepSizes, Sequence[str]]:
    """Return the samples that steps draw, and notes on what that means (``training.batch_size.fill``).

    With ``stages``, a training without unlabeled cases draws the very labeled samples that it draws with them: it is
    the control of what these add. A step of labels alone is filled to the last group of samples that belong together.
    """
    written, filled = Counts(batch.labeled, batch.unlabeled), Counts(batch.total, 0)
    alone = Counts(batch.total - batch.total % needs.labeled.unit, 0)
    if not batch.unlabeled:
        return StepSizes(written, written), ()
    if needs.unlabeled.uses and any_unlabeled:
        return StepSizes(written, written if batch.fill == "trainings" else alone), ()
    reason = "there are no unlabeled cases" if needs.unlabeled.uses else "the strategy uses no unlabeled samples"
    if batch.fill != "stages":
        return StepSizes(filled, filled), (f"{reason}: all {batch.total} samples of a step are labeled",)
    mixed, samples = Counts(batch.labeled, 0), counted(batch.labeled, "labeled sample")
    note = f"{reason}: a step has {samples}, as it has beside unlabeled ones (training.batch_size.fill is stages)"
    return StepSizes(mixed, alone if needs.unlabeled.uses else mixed), (note,)


def unused_note(n_unlabeled: int, batch: BatchSize, needs: BatchNeeds) -> list[str]:
    """Return a note if the recipe gives no unlabeled samples to a strategy that could use them."""
    if batch.unlabeled or not needs.unlabeled.uses or not n_unlabeled:
        return []
    unused = "1 unlabeled case is" if n_unlabeled == 1 else f"{n_unlabeled} unlabeled cases are"
    return [f"training.batch_size.unlabeled is 0: {unused} not used"]


def n_steps(training: Training) -> int:
    """Return the number of steps of a training, which does not depend on what they draw."""
    return training.epochs * -(-training.examples_per_epoch // training.batch.total)


def draws_of(sizes: StepSizes, table: TrainingSchedule, strategy: Strategy) -> Draws:
    """Return the samples of every step: within a stage, steps of labels alone (a wait) come first."""

    def uses(index: int) -> bool:
        return bool(strategy.uses_unlabeled(table.step(index)))

    parts, needs = [], strategy.batch_needs(strategy.options)
    for span in table.spans:
        steps = range(span.start, span.stop)
        begin = span.start + (bisect_left(steps, True, key=uses) if needs.unlabeled.uses else 0)
        parts += [Phase(span.start, begin, sizes.alone), Phase(begin, span.stop, sizes.mixed)]
    return Draws.of(parts)
