"""Whether what changes over training does so by the share that is done: a part of a strategy's contract."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from semiseg.interfaces.batch import Step
from semiseg.interfaces.strategy import Strategy
from semiseg.testing.batches import in_double
from semiseg.testing.strategy_base import StrategyTests

LONGER = 1201
"""How many times as long the other training is. What happens at every other step does so there too: this is 1 more
than a multiple of 2, 3, 4, 5, 10 and 150."""
LOOKED = (1, 37, 98)
"""Steps of 100: no shares that an option is likely to name, where rounding would decide."""


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
        """The gradients of a step are those of the step at the same share of a longer training."""
        self.train(strategy, 0, 2)  # a teacher that begins as a copy of its student has nothing to teach
        step = self.at(strategy, index)
        self.require_repeatable(strategy, self.batch(strategy, step), step)
        strategy.double()
        batch = in_double(self.batch(strategy, step))
        expected = self.gradients(strategy, batch, step)
        later = stretched(step, more_epochs)
        found = self.gradients(strategy, batch, later)
        for name, one in expected.items():
            other = found[name]
            alike = one is other or (one is not None and other is not None and torch.allclose(one, other, 1e-9, 1e-12))
            assert alike, (
                f"other gradients of {name} at step {later.index} of {later.total} (epoch {later.epoch}) than at step"
                f" {index} of {step.total} (epoch {step.epoch}),\nof the same batch at the same share of training: read"
                " step.index / step.total, or step.progress of a stage"
            )


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
