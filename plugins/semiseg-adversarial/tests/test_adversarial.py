"""What both strategies share: who is updated by what, the weight, modes, dropout, batches of any size, optimizers."""

import math

import pytest
import torch

from semiseg.engine.optim import make_optimizers
from semiseg.recipe import schema
from semiseg.testing.strategy import StrategyContract, make_batch
from semiseg.testing.tiny import TinyBackbone
from semiseg_adversarial.dan import DAN
from semiseg_adversarial.sassnet import SASSNet

BOTH = pytest.mark.parametrize("cls", [DAN, SASSNet])


def made(cls, backbone=None, **options):
    return StrategyContract.make(cls, {"critic_channels": 2, **options}, backbone=backbone)


def at(strategy, index):
    return StrategyContract.at(strategy, index)


def grads(value, network):
    return torch.autograd.grad(value, list(network.parameters()), retain_graph=True, allow_unused=True)


@BOTH
def test_each_loss_trains_its_own_network_alone(cls):
    strategy, batch = made(cls, weight=50), make_batch(targets=cls.needs.targets)
    step, (model, critic) = at(strategy, 99), (strategy.networks["model"], strategy.networks["critic"])
    of_model, of_critic = strategy.losses(batch, step)
    assert (of_model.updated, of_critic.updated) == ({"model"}, {"critic"})
    assert any(g.any() for g in grads(of_model.terms["adversarial"].mean(), model) if g is not None)
    assert any(g.any() for g in grads(of_model.total, critic))  # which must not reach it
    assert all(g is None for g in grads(of_critic.total, model))
    expected = {"model": grads(of_model.total, model), "critic": grads(of_critic.total, critic)}
    found = StrategyContract.gradients(strategy, batch, step)  # as the engine gathers them
    for role, gradients in expected.items():
        mine = [gradient for name, gradient in found.items() if name.startswith(f"networks.{role}.")]
        assert len(mine) == len(gradients)
        for one, other in zip(mine, gradients, strict=True):
            torch.testing.assert_close(one, other)


@BOTH
def test_the_weight_of_the_adversarial_loss_rises_along_a_sigmoid(cls):
    strategy = made(cls, weight=0.5, ramp_share=1.0)
    batch = make_batch(targets=cls.needs.targets)
    for index, factor in ((0, math.exp(-5)), (50, math.exp(-1.25)), (99, math.exp(-5 * 0.01**2))):
        of_model, of_critic = strategy.losses(batch, at(strategy, index))
        assert of_model.terms["adversarial"].weight == pytest.approx(0.5 * factor)
        assert of_critic.terms["critic"].weight == 1
    strategy = made(cls, weight=0.5, ramp="constant")
    of_model, _ = strategy.losses(batch, at(strategy, 0))
    assert of_model.terms["adversarial"].weight == 0.5


@BOTH
@pytest.mark.parametrize(("labeled", "unlabeled"), [(2, 2), (1, 3), (3, 1), (2, 0), (1, 1)])
def test_streams_may_have_any_sizes(cls, labeled, unlabeled):
    """A critic that says "labeled" with probability 3/4 of everything: log 4/3 for that, and log 4 for the opposite."""
    strategy, batch = made(cls), make_batch(labeled, unlabeled, targets=cls.needs.targets)
    with torch.no_grad():
        for parameter in strategy.networks["critic"].parameters():
            parameter.zero_()
        strategy.networks["critic"].classifier.bias[1] = math.log(3)
    of_model, of_critic = strategy.losses(batch, at(strategy, 99))
    wanted = math.log(4 / 3) if unlabeled else 0
    assert of_model.parts["adversarial"].item() == pytest.approx(wanted, rel=1e-5)
    wanted = (labeled * math.log(4 / 3) + unlabeled * math.log(4)) / (labeled + unlabeled)
    assert of_critic.total.item() == pytest.approx(wanted, rel=1e-5)
    assert of_critic.parts["critic_right"].item() == pytest.approx(labeled / (labeled + unlabeled))


@BOTH
def test_the_critic_judges_without_dropout_and_learns_with_it_from_a_network_in_eval_mode(cls):
    strategy = made(cls, TinyBackbone(TinyBackbone.Options(noisy=True))).train()
    batch, modes, factors = make_batch(targets=cls.needs.targets), [], []
    strategy.networks["model"].register_forward_hook(lambda network, *_: modes.append(network.training))
    strategy.networks["critic"].register_forward_hook(lambda _, given, __: factors.append(given[2:]))
    statistics = {name: value.clone() for name, value in strategy.named_buffers()}
    losses = strategy.losses(batch, at(strategy, 99))
    next(losses)
    moved = {name: value.clone() for name, value in strategy.named_buffers()}
    next(losses)
    assert modes == [True, False]
    assert strategy.networks["model"].training
    assert any(not torch.equal(moved[name], value) for name, value in statistics.items())
    assert all(torch.equal(moved[name], value) for name, value in strategy.named_buffers())
    assert factors[0] == ()
    assert set(factors[1][0].flatten().tolist()) == {0, 2}


@BOTH
def test_the_critic_has_adam_at_its_own_rate_whatever_the_recipe_says(cls):
    strategy = made(cls)
    options = schema.Optimizer(name="sgd", lr=0.1, weight_decay=0.2, momentum=0.9, nesterov=True)
    found = make_optimizers(options, strategy.networks, strategy.roles(strategy.options))
    assert type(found["model"]) is torch.optim.SGD
    assert type(found["critic"]) is torch.optim.Adam
    (group,) = found["critic"].param_groups
    assert (group["lr"], group["weight_decay"]) == (1e-4, 0)


@BOTH
def test_roles_with_the_same_options_are_equal_and_the_network_predicts(cls):
    options = cls.Options()
    assert cls.roles(options) == cls.roles(options)
    assert made(cls).predicting == ("model",)
