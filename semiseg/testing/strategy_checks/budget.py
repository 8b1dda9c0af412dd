"""Contract tests of strategies: every step uses the samples that it draws."""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import torch

from semiseg.data.draws import Counts, Draws
from semiseg.interfaces.batch import Batch, Step, Stream
from semiseg.interfaces.strategy import Strategy
from semiseg.pipeline.samples.step_sizes import StepSizes, draws_of, step_sizes
from semiseg.recipe.schema import BatchSize
from semiseg.testing.batches import in_double, make_batch
from semiseg.testing.strategy_checks.base import StrategyTests, task_of
from semiseg.testing.strategy_checks.learning import redraw

LEAST = 0.9
"""Fraction of a step's samples that its losses depend on."""


class BudgetTests(StrategyTests):
    """Tests that no sample is drawn, or could be drawn in its place, for nothing.

    A method is compared with others at equal samples, steps or time: samples that it does not use make it look worse.
    """

    def test_a_step_uses_what_it_draws(self, strategy: Strategy) -> None:
        """Early and late in every phase, losses depend on the samples, at least on the labeled ones of a recipe."""
        sizes, draws = self.drawn(strategy)
        strategy.double()
        for step, counts in self.looked_at(strategy, draws):
            batch = self.batch_of(strategy, step, *counts)
            labeled, unlabeled = self.used(strategy, batch, step)
            where = f"at step {step.index} of 100 (stage {step.stage})"
            of = {"labeled": counts.labeled - labeled, "unlabeled": counts.unlabeled - unlabeled}
            unused = " and ".join(f"{n} {stream}" for stream, n in of.items() if n)
            assert labeled + unlabeled >= LEAST * counts.total, (
                f"{where}, the losses do not depend on {unused} of the {counts.total} samples drawn"
                f"\n(with initial weights, and with confident networks).{_HINT if of['unlabeled'] else ''}"
            )
            assert labeled >= sizes.mixed.labeled, (
                f"{where}, the losses depend on {labeled} labeled samples, but a recipe gives {sizes.mixed.labeled}"
            )

    def test_a_step_of_labels_alone_uses_no_unlabeled_samples(self, strategy: Strategy) -> None:
        """Where ``uses_unlabeled`` is false, unlabeled samples, if there are some, change nothing."""
        _, draws = self.drawn(strategy)
        strategy.double()
        for step, _ in self.looked_at(strategy, draws):
            if not strategy.batch_needs(strategy.options).unlabeled.uses or strategy.uses_unlabeled(step):
                continue
            _, unlabeled = self.used(strategy, in_double(self.batch(strategy, step)), step)
            assert not unlabeled, (
                f"the losses of step {step.index} of 100 (stage {step.stage}) depend on unlabeled samples, but"
                " uses_unlabeled is false there, so that none are drawn"
            )

    def test_unlabeled_samples_are_used_from_some_step_of_a_stage_on(self, strategy: Strategy) -> None:
        """Within a stage ``uses_unlabeled`` changes at most once, from false to true: a wait is at its beginning."""
        table = self.timetable(strategy)
        for span in table.spans:
            used = [bool(strategy.uses_unlabeled(table.step(index))) for index in range(span.start, span.stop)]
            assert used == sorted(used), (
                f"uses_unlabeled is true and then false in stage {span.stage.name}: end the stage there, with another"
                " one of labels alone, Stage(..., unlabeled=False)"
            )

    @classmethod
    def drawn(cls, strategy: Strategy) -> tuple[StepSizes, Draws]:
        """Return the samples of the steps of a training of 100: two groups of each stream, and labels in a wait."""
        needs = strategy.batch_needs(strategy.options)
        labeled, unlabeled = (max(n.minimum, 2 * n.unit) for n in (needs.labeled, needs.unlabeled))
        sizes, _ = step_sizes(BatchSize(labeled=labeled, unlabeled=unlabeled), needs, any_unlabeled=True)
        return sizes, draws_of(sizes, cls.timetable(strategy), strategy)

    @classmethod
    def looked_at(cls, strategy: Strategy, draws: Draws) -> list[tuple[Step, Counts]]:
        """Return two steps of each phase of a stage, and what they draw: after a tenth of it, and the last.

        At the first, an undeclared wait would not be over, and a linear ramp-up has begun.
        """
        bounds = {phase.start for phase in draws.phases} | {span.start for span in cls.timetable(strategy).spans}
        indices = [
            index
            for start, stop in pairwise([*sorted(bounds), 100])
            for index in (start + (stop - start) // 10, stop - 1)
        ]
        return [(cls.at(strategy, index), draws.at(index)) for index in indices]

    @staticmethod
    def batch_of(strategy: Strategy, step: Step, labeled: int, unlabeled: int) -> Batch:
        """Return a batch of these sizes for a step, in float64."""
        pseudo = StrategyTests.has_pseudo_labels(strategy, step)
        batch = make_batch(
            labeled, unlabeled, 0, strategy.batch_needs(strategy.options).targets, pseudo, task_of(strategy).patch_size
        )
        return in_double(batch)

    @classmethod
    def used(cls, strategy: Strategy, batch: Batch, step: Step) -> tuple[int, int]:
        """Return how many labeled and unlabeled samples the losses depend on.

        A method may accept confident predictions alone, so a sample also counts if they do with confident networks.
        """
        n_labeled, rest = len(batch.labeled), set(range(len(batch.labeled) + len(batch.unlabeled)))
        rest -= cls._that_matter(strategy, batch, step, rest)
        if rest:
            with confident(strategy):
                rest -= cls._that_matter(strategy, batch, step, rest)
        unused = sum(index < n_labeled for index in rest)
        return n_labeled - unused, len(batch.unlabeled) - (len(rest) - unused)

    @classmethod
    def _that_matter(cls, strategy: Strategy, batch: Batch, step: Step, samples: Set[int]) -> set[int]:
        expected = cls.values(strategy, batch, step)
        return {index for index in samples if cls.values(strategy, _with_other(batch, index), step) != expected}

    @classmethod
    def values(cls, strategy: Strategy, batch: Batch, step: Step) -> list[float]:
        """Return the losses of a step."""
        with cls.drawing(strategy):
            return [losses.total.item() for losses in strategy.losses(batch, step)]


_HINT = (
    "\nA step of labels alone draws only labeled samples if the strategy says so: Stage(..., unlabeled=False), or"
    " uses_unlabeled for a wait."
)


StreamT = TypeVar("StreamT", bound=Stream)


def _with_other(batch: Batch, index: int) -> Batch:
    """Return the batch with another image of one sample, counted over both streams."""
    if index < len(batch.labeled):
        return replace(batch, labeled=_other_image(batch.labeled, index))
    return replace(batch, unlabeled=_other_image(batch.unlabeled, index - len(batch.labeled)))


def _other_image(stream: StreamT, index: int) -> StreamT:
    image = stream.image.clone()
    generator = torch.Generator().manual_seed(1000 + index)  # no seed of ``make_batch``
    image[index] = torch.randn(image[index].shape, generator=generator).to(image)
    return replace(stream, image=image)


@contextmanager
def confident(strategy: Strategy) -> Iterator[None]:
    """Give every network confident predictions, others than the rest's, within the block."""
    state = {name: value.clone() for name, value in strategy.state_dict().items()}
    for seed, network in enumerate(strategy.networks.values(), 1):
        redraw(network, seed)
    yield
    strategy.load_state_dict(state)
