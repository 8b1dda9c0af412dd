"""Whether what changes over training does so by the share that is done: a part of a strategy's contract."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from semiseg.interfaces.batch import Step
from semiseg.interfaces.strategy import Strategy
from semiseg.testing.batches import in_double
from semiseg.testing.strategy_base import StrategyTests, other_gradients

LONGER = 1201
"""How many times as long the other training is. What happens at every other step does so there too: this is 1 more
than a multiple of 2, 3, 4, 5, 10 and 150."""
LOOKED = (1, 37, 98)
"""Steps of 100: no shares that an option is likely to name, where rounding would decide."""
NEAR = 11
"""Steps on either side: an epoch of the short training, and one more."""


class ScheduleTests(StrategyTests):
    """Tests that a step of a long training is like the one at the same share of a short training."""

    counts_epochs: ClassVar[bool] = False
    """To be set where an option is tested that is told in epochs: a wait of 15, say, whatever their number."""

    @pytest.mark.parametrize("index", LOOKED)
    def test_schedules_do_not_count_steps(self, strategy: Strategy, index: int) -> None:
        """Weights rise by the share of training that is done: with epochs of more steps they are the same there."""
        self.require_alike(strategy, index, more_epochs=False)

    @pytest.mark.parametrize("index", LOOKED)
    def test_schedules_do_not_count_epochs(self, strategy: Strategy, index: int) -> None:
        """Likewise with more epochs, unless an option is told in epochs and is declared to be."""
        if self.counts_epochs:
            pytest.skip("it is declared to count epochs")
        self.require_alike(strategy, index, more_epochs=True)

    def require_alike(self, strategy: Strategy, index: int, more_epochs: bool) -> None:
        """The gradients of a step are those of the step at the same share of a longer training.

        A share that is off by a step or an epoch, ``step.index / (step.total - 1)`` or that of epochs, is as good. It
        is another one there, but no farther off than its next value in the short training: the gradients of the long
        training are compared with those of all steps nearby, of the same batch and with the same draws, and may be as
        far from the nearest as neighbors are from one another.
        """
        self.train(strategy, 0, 2)  # a teacher that begins as a copy of its student has nothing to teach
        step = self.at(strategy, index)
        self.require_repeatable(strategy, self.batch(strategy, step), step)
        strategy.double()
        batch = in_double(self.batch(strategy, step))
        later = stretched(step, more_epochs)
        expected = self.gradients(strategy, batch, step)
        found = self.gradients(strategy, batch, later)
        one, other = _flat(strategy, expected), _flat(strategy, found)
        if (one - other).norm() <= 1e-9 * max(one.norm(), other.norm()):
            return  # as most are; the others take long
        near = self.nearby(strategy, step)
        around = [_flat(strategy, self.gradients(strategy, batch, _like(at, step))) for at in near]
        apart = min(float((value - other).norm()) for value in around)
        between = max((float((b - a).norm()) for a, b in pairwise(around)), default=0.0)
        assert apart <= between + 1e-9 * max(float(value.norm()) for value in (other, *around)), (
            f"other gradients of {other_gradients(expected, found)} at step {later.index} of {later.total}"
            f" (epoch {later.epoch}) than at step {index} of {step.total} (epoch {step.epoch}),\nand than at any of the"
            f" steps {near[0].index} to {near[-1].index}, of the same batch at the same share of training:\nread"
            " step.index / step.total, or step.progress of a stage, and draw from step.generator"
        )

    @classmethod
    def nearby(cls, strategy: Strategy, step: Step) -> list[Step]:
        """The steps of the short training around one, as far as they are of its stage."""
        timetable = cls.timetable(strategy)
        span = timetable.span(step.index)
        first, stop = max(span.start, step.index - NEAR), min(span.stop, step.index + NEAR + 1)
        return [timetable.step(index) for index in range(first, stop)]


@dataclass(frozen=True, slots=True)
class _Later(Step):
    """A step that draws what another one does."""

    like: Step | None = None

    def generator(self, slot: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
        """The other step's generator."""
        assert self.like is not None
        return self.like.generator(slot, name, device)


def stretched(step: Step, more_epochs: bool) -> Step:
    """The step at the same share of a longer training: of more epochs, or of longer ones. Its draws are the same."""
    return _Later(
        index=step.index * LONGER,
        total=step.total * LONGER,
        epoch_length=step.epoch_length * (1 if more_epochs else LONGER),
        stage=step.stage,
        stage_index=step.stage_index * LONGER,
        stage_total=step.stage_total * LONGER,
        seed=step.seed,
        like=step,
    )


def _like(step: Step, like: Step) -> Step:
    return _Later(**{field.name: getattr(step, field.name) for field in fields(Step)}, like=like)


def _flat(strategy: Strategy, gradients: Mapping[str, Tensor | None]) -> Tensor:
    """All gradients in one vector, float64; one that is missing is 0."""
    parts = [
        torch.zeros(p.numel(), dtype=torch.float64) if (g := gradients[name]) is None else g.double().flatten()
        for name, p in strategy.named_parameters()
    ]
    return torch.cat(parts)
