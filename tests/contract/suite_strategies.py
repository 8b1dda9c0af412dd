"""Strategies that are right, for those that are wrong in one thing, and how the suite refuses these."""

import pytest
import torch

from semiseg.errors import ComponentError
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import Stage, Strategy
from semiseg.losses.named import named_loss
from semiseg.strategy_parts.ema import update_teacher
from semiseg.testing.strategy import StrategyContract

contract = StrategyContract()


class Right(Strategy):
    """A student, and a teacher that is its moving average; both are given the same noise."""

    @classmethod
    def roles(cls, options):
        return (Role("student"), Role("teacher", trained=False, predicts=False, initialized_like="student"))

    def noisy(self, batch, step):
        image = batch.unlabeled.image
        noise = [torch.randn(image.shape[1:], generator=step.generator(s, "noise")) for s in batch.unlabeled.slots]
        return image + 0.1 * torch.stack(noise).to(image) if noise else image

    def weight(self, step):
        return 1.0

    def taught(self, images, batch):
        with torch.no_grad():
            return self.run("teacher", images).softmax(1)

    def losses(self, batch, step):
        noisy = self.noisy(batch, step)
        labeled, unlabeled = batch.divide(self.run("student", torch.cat([batch.labeled.image, noisy])))
        loss = Term(named_loss(labeled, batch.labeled.label, "dice"), batch.labeled)
        if len(batch.unlabeled):
            apart = (unlabeled.softmax(1) - self.taught(noisy, batch)).square().flatten(1).mean(1)
            loss += self.weight(step) * Term(apart, batch.unlabeled)
        yield Losses(loss)

    def after_step(self, step):
        update_teacher(self.networks["teacher"], self.networks["student"], 0.9)


class OneAfterAnother(Right):
    """Right: two networks, each trained in a stage of its own."""

    second = "second"

    @classmethod
    def roles(cls, options):
        return (Role("first"), Role("second"))

    def stages(self):
        return (Stage("a", 0.5, unlabeled=False), Stage("b", 0.5, unlabeled=False))

    def losses(self, batch, step):
        role = "first" if step.stage == "a" else self.second
        labeled, _ = batch.divide(self.run(role, batch.images()))
        yield Losses(Term(named_loss(labeled, batch.labeled.label, "dice"), batch.labeled), updates=role)

    def after_step(self, step):
        pass


def refusal(check, strategy_class, **others):
    strategy = contract.make(strategy_class, {})
    with pytest.raises((AssertionError, ComponentError)) as raised:
        check(strategy, **others)
    return str(raised.value)
