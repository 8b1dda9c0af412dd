"""Averaged weights: the formula, what uses them, and a training that goes on with the weights themselves."""

import os
import signal

import pytest
import torch
from tiny_task import MadeBatches, cps
from tiny_trainer import Kill, KillingBatches

from semiseg.engine.averages import Averages, averaged_roles
from semiseg.engine.runtime import Runtime
from semiseg.engine.step_modes import StepMode
from semiseg.errors import Interrupted
from semiseg.interfaces.strategy import Stage
from semiseg.recipe import schema
from semiseg.runs.checkpoint import load_state
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.fixmatch import FixMatch

OPTIONS = {
    "ema": 0.8,
    "gradient_clip": 0.5,
    "optimizer": schema.Optimizer(name="sgd", lr=0.05, momentum=0.9, nesterov=True),
}


def changed(strategy):
    """Give each parameter new values, and return a copy of them."""
    with torch.no_grad():
        for parameter in strategy.parameters():
            parameter.add_(torch.randn(parameter.shape))
    return copied(strategy)


def copied(strategy):
    return {name: p.detach().clone() for name, p in strategy.named_parameters()}


def assert_close(one, other):
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], msg=lambda text, name=name: f"{name}: {text}")


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_the_average_is_that_of_the_formula_with_its_warm_up():
    """min(decay, (1 + t) / (10 + t)): 0.1, 2/11, 3/12, then the decay of 0.3 for good."""
    torch.manual_seed(0)
    strategy = cps()
    averages, expected = Averages(strategy, 0.3), copied(strategy)
    for decay in (1 / 10, 2 / 11, 3 / 12, 0.3, 0.3):
        present = changed(strategy)
        averages.update(strategy.networks)
        expected = {name: decay * mean + (1 - decay) * present[name] for name, mean in expected.items()}
    with averages.in_use():
        assert_close(copied(strategy), expected)
        with averages.set_aside():
            assert_same(copied(strategy), present)
        assert_close(copied(strategy), expected)
    assert_same(copied(strategy), present)


def test_buffers_are_the_network_s_own_and_other_weights_are_not_averaged():
    strategy = cps()
    strategy.networks["student_b"].layers[0].weight.requires_grad_(False)
    averages = Averages(strategy, 0.9)
    changed(strategy)
    averages.update(strategy.networks)
    strategy.networks["student_a"].layers[1].running_mean.fill_(3.0)
    frozen = strategy.networks["student_b"].layers[0].weight.clone()
    with averages.in_use():
        assert strategy.networks["student_a"].layers[1].running_mean.eq(3.0).all()
        assert torch.equal(strategy.networks["student_b"].layers[0].weight, frozen)
    assert "networks" in averages.state()["ema"]
    assert Averages(strategy, None).state() == {}


def test_only_networks_that_train_and_predict_are_averaged():
    assert averaged_roles(CrossPseudoSupervision, CrossPseudoSupervision.Options()) == ("student_a", "student_b")
    assert averaged_roles(FixMatch, FixMatch.Options()) == ("model",)
    assert averaged_roles(FixMatch, FixMatch.Options(labels_from="teacher")) == ()


def test_training_is_as_without_an_average_and_what_is_saved_is_the_average(make_trainer):
    plain, averaged = make_trainer("plain"), make_trainer("averaged", ema=0.5)
    seen = []
    validate = averaged.parts.validate

    def looked(after_case, role):
        seen.append(copied(averaged.strategy))
        return validate(after_case, role)

    object.__setattr__(averaged.parts, "validate", looked)
    plain.fit()
    averaged.fit()
    assert_same(copied(averaged.strategy), copied(plain.strategy))
    last = load_state(averaged.checkpoints.weights_file("last"))["strategy"]
    state = load_state(averaged.checkpoints.steps()[-1])
    assert_same(state["strategy"], plain.strategy.state_dict())
    means = state["ema"]["networks"]
    for name, value in copied(averaged.strategy).items():
        role, inner = name.removeprefix("networks.").split(".", 1)
        assert torch.equal(last[name], means[role][inner])
        assert torch.equal(last[name], seen[-1][name])
        assert not torch.equal(last[name], value)


@pytest.mark.parametrize("at", [3, 7])
def test_killed_and_resumed_it_is_the_same_to_the_last_bit(make_trainer, at):
    whole = make_trainer("whole", **OPTIONS)
    whole.fit()
    with pytest.raises(Kill):
        make_trainer("killed", batches=KillingBatches(at), **OPTIONS).fit()
    resumed = make_trainer("killed", **OPTIONS)
    resumed.fit()
    assert_same(resumed.strategy.state_dict(), whole.strategy.state_dict())
    for name in ("best", "last"):
        one, other = (load_state(trainer.checkpoints.weights_file(name)) for trainer in (resumed, whole))
        assert one["step"] == other["step"]
        assert_same(one["strategy"], other["strategy"])


def test_stopped_in_the_middle_of_a_validation_it_saves_the_weights_themselves(make_trainer):
    whole, stopped = make_trainer("whole", **OPTIONS), make_trainer("stopped", minutes=60, **OPTIONS)
    whole.fit()
    validate = stopped.parts.validate

    def interrupted(after_case, role):
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(after_case, role)

    object.__setattr__(stopped.parts, "validate", interrupted)
    with pytest.raises(Interrupted):
        stopped.fit()
    resumed = make_trainer("stopped", **OPTIONS)
    resumed.fit()
    assert_same(resumed.strategy.state_dict(), whole.strategy.state_dict())
    last = (load_state(trainer.checkpoints.weights_file("last"))["strategy"] for trainer in (resumed, whole))
    assert_same(*last)


def test_a_stage_is_labeled_by_the_average_and_new_networks_begin_a_new_one(make_trainer):
    strategy = cps()
    strategy.stages = lambda: (Stage("first", 0.5), Stage("second", 0.5, reset="all", pseudo_labels=True))
    trainer = make_trainer(strategy=strategy, ema=0.999)
    labeled_by = []
    object.__setattr__(
        trainer.parts, "prepare_stage", lambda number, begins, after: labeled_by.append(copied(trainer.strategy))
    )
    trainer.fit()
    first, second = labeled_by
    state = load_state(trainer.checkpoints.steps()[-1])
    assert state["ema"]["updates"] == 6
    assert not torch.equal(first["networks.student_a.layers.0.weight"], second["networks.student_a.layers.0.weight"])


def test_without_a_decay_nothing_changes():
    strategy = cps()
    averages, before = Averages(strategy, None), copied(strategy)
    averages.update(strategy.networks)
    with averages.in_use():
        assert_same(copied(strategy), before)
    averages.synchronize([], Runtime("cpu", "32"))


def test_alternating_steps_average_every_network(make_trainer):
    trainer = make_trainer(mode=StepMode("alternating"), batches=MadeBatches(), epochs=1, ema=0.9)
    trainer.fit()
    last = load_state(trainer.checkpoints.weights_file("last"))["strategy"]
    assert all(not torch.equal(last[name], p) for name, p in trainer.strategy.named_parameters())
