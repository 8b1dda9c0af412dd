"""What the suite of strategies catches, and what it lets be: strategies that are wrong in one thing, and right ones."""

import random
from functools import cached_property

import numpy as np
import pytest
import torch
from suite_strategies import OneAfterAnother, Right, contract, refusal
from torch import nn

from semiseg.engine.build import build_strategy
from semiseg.errors import ComponentError
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import BatchNeeds, Target
from semiseg.testing.batches import TASK
from semiseg.testing.strategy import StrategyContract
from semiseg.testing.tiny import TinyBackbone


class TestOneAfterAnother(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return OneAfterAnother


def foreground(labels, classes):
    return (labels > 0)[:, None].float()


class Careful(Right):
    """Right: it has a target, a frozen parameter, what is made when it is asked for, and networks under two names."""

    needs = BatchNeeds(targets=(Target("foreground", foreground),))

    def __init__(self, options, networks):
        super().__init__(options, networks)
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.pair = self.networks["student"], self.networks["teacher"]
        self.shape = lambda value: value

    @cached_property
    def kernel(self):
        return torch.full((3,), 1 / 3)

    def weight(self, step):
        return self.scale * self.kernel.sum() * (1 + (self.seen > 1))

    def after_step(self, step):
        super().after_step(step)
        self.seen += 1


class TestCareful(StrategyContract):
    @pytest.fixture
    def strategy_class(self):
        return Careful


class NeverSecond(OneAfterAnother):
    """Wrong: the second network is in no loss."""

    second = "first"


class OwnParameter(Right):
    """Wrong: weighs a loss with a parameter that no optimizer has."""

    def __init__(self, options, networks):
        super().__init__(options, networks)
        self.log_variance = nn.Parameter(torch.zeros(()))
        self.project = nn.Linear(3, 3)

    def weight(self, step):
        return torch.exp(-self.log_variance)


class Counter(Right):
    """Wrong: counts the steps itself, to act on it later."""

    n = 0

    def weight(self, step):
        return float(self.n > 10)

    def after_step(self, step):
        super().after_step(step)
        self.n += 1


class Bank(Right):
    """Wrong: what it remembers is in a dictionary, of an object that is no module."""

    def __init__(self, options, networks):
        super().__init__(options, networks)
        self.bank = type("Bank", (), {})()
        self.bank.of = {}

    def after_step(self, step):
        super().after_step(step)
        self.bank.of["student"] = self.networks["student"].head.weight.detach().clone()


class ClassState(Right):
    """Wrong: what it remembers is its class's."""

    steps = []  # noqa: RUF012

    def after_step(self, step):
        super().after_step(step)
        self.steps.append(step.index)


class Unsaved(Right):
    """Wrong: the buffer is not saved."""

    def __init__(self, options, networks):
        super().__init__(options, networks)
        self.register_buffer("n", torch.zeros(()), persistent=False)

    def after_step(self, step):
        super().after_step(step)
        self.n += 1


class LambdaTarget(Right):
    """Wrong: no other process can be sent its target."""

    needs = BatchNeeds(targets=(Target("foreground", lambda labels, classes: labels[:, None].float()),))


class NumpyNoise(Right):
    """Wrong: draws from numpy's own state."""

    def noisy(self, batch, step):
        image = batch.unlabeled.image
        return image + torch.from_numpy(np.random.randn(*image.shape)).to(image)


class TorchNoise(Right):
    """Wrong: draws from torch's own state, which before a network's forward is whatever the last step left."""

    def noisy(self, batch, step):
        return batch.unlabeled.image + 0.1 * torch.randn_like(batch.unlabeled.image)


class RandomWeight(Right):
    """Wrong: draws from Python's own state."""

    def weight(self, step):
        return random.random()


class StateInLosses(Right):
    """Wrong: changes a buffer where losses are computed."""

    def __init__(self, options, networks):
        super().__init__(options, networks)
        self.register_buffer("calls", torch.zeros(()))

    def weight(self, step):
        self.calls += 1
        return self.calls.clone()


class InPlace(Right):
    """Wrong: writes to the images."""

    def noisy(self, batch, step):
        return batch.unlabeled.image.mul_(1.01)


class ClampedLabel(Right):
    """Wrong: writes to the labels, where a second time changes nothing more."""

    def losses(self, batch, step):
        batch.labeled.label.clamp_(max=1)
        yield from super().losses(batch, step)


class Peeks(Right):
    """Wrong: takes a label that it is not to see."""

    def taught(self, images, batch):
        label = getattr(batch.unlabeled, "label", None)
        taught = super().taught(images, batch)
        return taught if label is None else taught * (label[:, None] == 0)


class MirroredVolumes(Right):
    """Wrong in 2D: flips three axes. Right where it declares that it supports volumes only."""

    def noisy(self, batch, step):
        return super().noisy(batch, step).flip((2, 3, 4))


class OnlyVolumes(MirroredVolumes):
    """Right: likewise, and declared."""

    spatial_dims = frozenset({3})


class OnlySlices(Right):
    """Right: flips two axes, of images that have no more."""

    spatial_dims = frozenset({2})

    def noisy(self, batch, step):
        assert batch.images().dim() == 4
        return super().noisy(batch, step).flip((2, 3))


class NobodyPredicts(Right):
    """Wrong: it could be trained, but not be used."""

    @classmethod
    def roles(cls, options):
        return (Role("student", predicts=False),)


def test_a_parameter_that_nothing_trains_is_refused():
    names = "outside its roles' networks, which no optimizer trains: log_variance, project.weight, project.bias"
    roles = OwnParameter.roles(None)

    assert names in refusal(contract.test_trained_parameters_belong_to_a_role, OwnParameter)
    with pytest.raises(ComponentError, match=names) as raised:
        build_strategy(OwnParameter, None, roles, {role.name: TinyBackbone() for role in roles}, TASK, 0)
    assert "Role.network" in str(raised.value)
    assert "requires_grad=False" in str(raised.value)


def test_a_frozen_parameter_is_not():
    roles = Careful.roles(None)
    strategy = build_strategy(Careful, None, roles, {role.name: TinyBackbone() for role in roles}, TASK, 0)

    assert not strategy.scale.requires_grad


@pytest.mark.parametrize(
    ("strategy_class", "name"), [(Counter, "n"), (Bank, "bank"), (ClassState, "ClassState.steps"), (Unsaved, "n")]
)
def test_what_is_remembered_and_not_saved_is_named(strategy_class, name):
    reason = refusal(contract.test_changing_state_is_saved, strategy_class)

    assert reason.startswith(f"changed by training but not saved: {name}\n")


def test_targets_that_cannot_be_sent_are_named():
    assert "target 'foreground' cannot be pickled" in refusal(
        contract.test_targets_can_be_sent_to_worker_processes, LambdaTarget
    )


def test_a_role_that_is_never_updated_is_named():
    reason = refusal(contract.test_every_trained_role_is_updated, NeverSecond)

    assert reason.startswith("no loss of the steps [0, 1, 50, 51, 98, 99] of 100 updates second")


@pytest.mark.parametrize(
    ("strategy_class", "reason"),
    [
        (NumpyNoise, "draw from step.generator only"),
        (TorchNoise, "draw from step.generator only"),
        (RandomWeight, "draw from step.generator only"),
        (StateInLosses, "leave changes of state to after_step"),
        (InPlace, "losses modifies its inputs: unlabeled.image"),
        (ClampedLabel, "losses modifies its inputs: labeled.label"),
    ],
)
def test_what_cannot_be_repeated_is_not_taken_for_a_leak(strategy_class, reason):
    assert reason in refusal(contract.test_a_step_can_be_repeated, strategy_class, index=0)
    assert reason in refusal(contract.test_labels_of_unlabeled_samples_change_nothing, strategy_class)


def test_a_leak_is_one():
    reason = refusal(contract.test_labels_of_unlabeled_samples_change_nothing, Peeks)

    assert reason.startswith("labels of unlabeled samples change the gradients of networks.student.first.weight and 7")


def test_what_works_in_3d_alone_is_told_in_2d():
    contract.test_losses_are_finite_scalars(contract.make(MirroredVolumes, {}, 3), 0)
    with pytest.raises(IndexError):
        contract.test_losses_are_finite_scalars(contract.make(MirroredVolumes, {}, 2), 0)


@pytest.mark.parametrize(("strategy_class", "sides"), [(Right, 3), (OnlyVolumes, 3), (OnlySlices, 2)])
def test_checks_of_learning_have_images_of_a_declared_number_of_axes(strategy_class, sides):
    strategy = contract.make(strategy_class, {})
    assert contract.batch(strategy, contract.at(strategy, 0)).images().dim() == 2 + sides
    contract.test_every_trained_role_is_updated(strategy)


@pytest.mark.parametrize("dims", [set(), {1}, {3, 4}])
def test_unknown_numbers_of_axes_are_refused(dims):
    with pytest.raises(AssertionError):
        contract.test_numbers_of_spatial_axes_are_known(type("Other", (Right,), {"spatial_dims": frozenset(dims)}))


def test_a_strategy_that_cannot_predict_is_told_so():
    assert refusal(contract.test_prediction_is_a_probability, NobodyPredicts).startswith("no role predicts: ")
