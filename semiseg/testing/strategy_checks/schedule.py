"""Contract tests of strategies: schedules depend on the share of training that is done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from semiseg.interfaces.batch import Step
from semiseg.interfaces.strategy import Strategy
from semiseg.strategy_parts.durations import ramp_share, teacher_decay, wait_share
from semiseg.testing.batches import in_double
from semiseg.testing.strategy_checks.base import StrategyTests, other_gradients

LONGER = 1201
"""Length of the longer training, in multiples of the short one.

Being 1 more than a multiple of 2, 3, 4, 5, 10 and 150, it preserves events that occur at every n-th step.
"""
LOOKED = (1, 37, 98)
"""Steps of 100: no shares that options are likely to contain, at which rounding would decide."""
AUTO: Mapping[str, Callable[[int], float]] = {
    "ramp_share": ramp_share,
    "decay": teacher_decay,
    "wait_share": wait_share,
}
"""Rules of options that are "auto", by the number of steps."""
NEAR = 11
"""Number of steps on either side: an epoch of the short training, plus one."""


class ScheduleTests(StrategyTests):
    """Tests that a step of a long training resembles the one at the same share of a short training."""

    counts_epochs: ClassVar[bool] = False
    """Set to True when testing an option given in epochs, such as a wait of 15 epochs whatever their total."""

    @pytest.mark.parametrize("index", LOOKED)
    def test_schedules_do_not_count_steps(self, strategy: Strategy, index: int) -> None:
        """Weights rise with the share of training done: epochs with more steps do not change them."""
        self.require_alike(strategy, index, more_epochs=False)

    @pytest.mark.parametrize("index", LOOKED)
    def test_schedules_do_not_count_epochs(self, strategy: Strategy, index: int) -> None:
        """The same holds with more epochs, unless an option is given in epochs and declared as such."""
        if self.counts_epochs:
            pytest.skip("it is declared with counts_epochs")
        self.require_alike(strategy, index, more_epochs=True)

    def require_alike(self, strategy: Strategy, index: int, more_epochs: bool) -> None:
        """Require that the gradients of a step equal those at the same share of a longer training.

        A share that is off by a step or an epoch, such as ``step.index / (step.total - 1)`` or that of epochs, is
        acceptable. It differs in the long training, but by no more than one step or epoch of the short one. The
        gradients of the long training are therefore compared with those of all nearby steps, for the same batch and the
        same draws, and may be as far from the nearest as neighbors are from one another.

        Options that are "auto" depend on the number of steps on purpose: they have the values of the short training.
        """
        step = self.at(strategy, index)
        automatic = {name: rule(step.total) for name, rule in AUTO.items()}
        known = {name: value for name, value in automatic.items() if getattr(strategy.options, name, None) == "auto"}
        strategy.options = strategy.options.model_copy(update=known)
        self.train(strategy, 0, 2)  # a teacher that starts as a copy of its student gives no gradient
        self.require_repeatable(strategy, self.batch(strategy, step), step)
        strategy.double()
        batch = in_double(self.batch(strategy, step))
        later = stretched(step, more_epochs)
        expected = self.gradients(strategy, batch, step)
        found = self.gradients(strategy, batch, later)
        one, other = _flat(strategy, expected), _flat(strategy, found)
        if (one - other).norm() <= 1e-9 * max(one.norm(), other.norm()):
            return  # the usual case; the rest takes long
        near = self.nearby(strategy, step)
        around = [_flat(strategy, self.gradients(strategy, batch, _like(at, step))) for at in near]
        apart = min(float((value - other).norm()) for value in around)
        between = max((float((b - a).norm()) for a, b in pairwise(around)), default=0.0)
        assert apart <= between + 1e-9 * max(float(value.norm()) for value in (other, *around)), (
            f"the gradients of {other_gradients(expected, found)} at step {later.index} of {later.total}"
            f" (epoch {later.epoch}) differ from those at step {index} of {step.total} (epoch {step.epoch}),\nand from"
            f" those at steps {near[0].index} to {near[-1].index}, for the same batch at the same share of training:\n"
            "use step.index / step.total, or step.progress for a stage, and draw from step.generator"
        )

    @classmethod
    def nearby(cls, strategy: Strategy, step: Step) -> list[Step]:
        """Return the steps of the short training around a step, within its stage."""
        timetable = cls.timetable(strategy)
        span = timetable.span(step.index)
        first, stop = max(span.start, step.index - NEAR), min(span.stop, step.index + NEAR + 1)
        return [timetable.step(index) for index in range(first, stop)]


@dataclass(frozen=True, slots=True)
class _Later(Step):
    """A step with the random draws of another one."""

    like: Step | None = None

    def generator(self, slot: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
        """Return the other step's generator."""
        assert self.like is not None
        return self.like.generator(slot, name, device)


def stretched(step: Step, more_epochs: bool) -> Step:
    """Return the step at the same share of a longer training, with more or longer epochs, and with the same draws."""
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
    """Return all gradients in one float64 vector; missing ones are 0."""
    parts = [
        torch.zeros(p.numel(), dtype=torch.float64) if (g := gradients[name]) is None else g.double().flatten()
        for name, p in strategy.named_parameters()
    ]
    return torch.cat(parts)
