"""Nesterov momentum and gradient clipping, against what they should be by hand."""

import math

import pytest
import torch
from pydantic import ValidationError
from tiny_task import MadeBatches, cps
from torch import nn

from semiseg.engine.optim import make_optimizer, options_of
from semiseg.engine.runtime import Runtime
from semiseg.engine.step import StepRunner
from semiseg.engine.step_modes import StepMode
from semiseg.interfaces.batch import Step
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role, RoleOptimizer
from semiseg.interfaces.strategy import Strategy, StrategyOptions
from semiseg.recipe import schema

STEP = Step(0, 10, 5, seed=3)
WHOLE = StepMode()
NNUNET = schema.Optimizer(name="sgd", lr=0.01, momentum=0.99, weight_decay=3e-5, nesterov=True)


def test_nesterov_looks_ahead_by_a_step_of_the_momentum():
    """v <- m v + g and w <- w - lr (g + m v), as in Sutskever et al. 2013 and torch.optim.SGD."""
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = make_optimizer(
        schema.Optimizer(name="sgd", lr=0.1, momentum=0.9, weight_decay=0, nesterov=True), [weight]
    )
    expected, velocity = 1.0, 0.0
    for gradient in (1.0, -0.5, 2.0):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        velocity = 0.9 * velocity + gradient
        expected -= 0.1 * (gradient + 0.9 * velocity)
        assert weight.item() == pytest.approx(expected, abs=1e-12)


def test_nnunet_s_optimizer_is_torch_s_with_its_numbers():
    """configure_optimizers: SGD(parameters, 1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True)."""
    (group,) = make_optimizer(NNUNET, [nn.Parameter(torch.ones(1))]).param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.01, 0.99, 3e-5)
    assert group["nesterov"]
    assert not group["dampening"]


@pytest.mark.parametrize("options", [{"name": "adam"}, {"name": "sgd", "momentum": 0}])
def test_nesterov_without_momentum_is_refused(options):
    with pytest.raises(ValidationError, match="nesterov is for sgd with a momentum above 0"):
        schema.Optimizer(nesterov=True, **options)


@pytest.mark.parametrize("own", [RoleOptimizer(name="adam"), RoleOptimizer(momentum=0.0)])
def test_a_role_whose_optimizer_has_no_momentum_goes_without_nesterov(own):
    assert not options_of(Role("critic", optimizer=own), NNUNET).nesterov
    assert options_of(Role("critic", optimizer=RoleOptimizer(lr=0.1)), NNUNET).nesterov


def test_recipes_without_the_new_keys_are_written_as_before():
    written = schema.Training().model_dump(mode="json")
    assert not {"gradient_clip", "ema", "foreground_share"} & written.keys()
    assert "nesterov" not in written["optimizer"]


SLOPES = {"a": (3.0, 0.0, 4.0), "b": (0.03, -0.04, 0.0)}


class Slopes(Strategy):
    """Two networks of three weights each, whose gradients are the given slopes."""

    Options = StrategyOptions

    @classmethod
    def roles(cls, options):
        return (Role("a"), Role("b"))

    def losses(self, batch, step):
        for role, slope in SLOPES.items():
            total = (self.networks[role].weight[0] * torch.tensor(slope)).sum()
            yield Losses(Term(total.expand(len(batch.labeled)), batch.labeled), role)


def moved(mode=WHOLE, clip=None, scaler=None):
    """Return what a step of plain gradient descent with rate 1 subtracts from each network's weights."""
    strategy = Slopes(StrategyOptions(), {role: nn.Linear(3, 1, bias=False) for role in "ab"})
    for network in strategy.networks.values():
        nn.init.zeros_(network.weight)
    optimizers = {role: torch.optim.SGD(net.parameters(), lr=1.0) for role, net in strategy.networks.items()}
    runner = StepRunner(strategy, optimizers, Runtime("cpu", "32"), mode, clip)
    runner.scaler = scaler or runner.scaler
    runner(MadeBatches().batch(0), STEP)
    return {role: -network.weight.detach()[0] for role, network in strategy.networks.items()}


@pytest.mark.parametrize("mode", [StepMode(), StepMode("joint", 1)], ids=str)
def test_a_gradient_longer_than_the_maximum_is_scaled_to_it_and_a_shorter_one_stays(mode):
    """Of each network by itself, and of the whole batch: its norms are 5 and 0.05, of each half of it 2.5 and 0.025."""
    plain, clipped = moved(mode), moved(mode, clip=1.0)
    torch.testing.assert_close(plain["a"], torch.tensor([3.0, 0.0, 4.0]))
    torch.testing.assert_close(clipped["a"], torch.tensor([0.6, 0.0, 0.8]), rtol=1e-6, atol=0)
    assert torch.equal(clipped["b"], plain["b"])


@pytest.mark.parametrize("scale", [1.0, 2.0**16])
def test_with_a_loss_scale_it_is_the_true_gradient_that_is_clipped(scale):
    """As in fp16; the scale is a power of two, so that nothing is rounded."""
    scaled = moved(clip=1.0, scaler=torch.amp.GradScaler("cpu", init_scale=scale))
    assert all(torch.equal(value, scaled[role]) for role, value in moved(clip=1.0).items())


@pytest.mark.parametrize("mode", [StepMode(), StepMode("alternating"), StepMode("alternating", 2)], ids=str)
def test_in_every_step_mode_each_network_moves_by_the_maximum(mode):
    strategy = cps()
    before = {role: [p.detach().clone() for p in net.parameters()] for role, net in strategy.networks.items()}
    optimizers = {role: torch.optim.SGD(net.parameters(), lr=1.0) for role, net in strategy.networks.items()}
    StepRunner(strategy, optimizers, Runtime("cpu", "32"), mode, 0.01)(MadeBatches().batch(0), STEP)
    for role, network in strategy.networks.items():
        change = [p.detach() - old for p, old in zip(network.parameters(), before[role], strict=True)]
        assert math.sqrt(sum(float(d.square().sum()) for d in change)) == pytest.approx(0.01, rel=1e-3)


def test_the_device_is_still_read_once(monkeypatch):
    plain, reads = torch.Tensor.tolist, []
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: reads.append(1) or plain(tensor))
    strategy = cps()
    optimizers = {role: torch.optim.SGD(net.parameters(), lr=1.0) for role, net in strategy.networks.items()}
    StepRunner(strategy, optimizers, Runtime("cpu", "32"), gradient_clip=0.01)(MadeBatches().batch(0), STEP)
    assert len(reads) == 1
