"""Algorithm 1 of Laine and Aila, written out."""

import math

import pytest
import torch
from monai.losses import DiceLoss

from semiseg.interfaces.batch import Step
from semiseg.strategies.pi_model import PiModel
from semiseg.strategy_parts.flips import draw_flips, flip
from semiseg.strategy_parts.views import strong_view
from semiseg.testing.batches import in_double
from semiseg.testing.strategy import StrategyContract, make_batch

DICE = DiceLoss(softmax=True, to_onehot_y=True)
STEP = Step(40, 100, 10, seed=2)


def made(**options):
    return StrategyContract.make(PiModel, {"loss": "dice", **options}).double()


def double_batch(**sizes):
    return in_double(make_batch(**sizes))


def difference(strategy, images, slots, gradient):
    """Mean squared difference of the two views' probabilities."""
    net, flips = strategy.networks["model"], draw_flips(slots, STEP, "pi_model/flips")
    view = flip(strong_view(images, slots, STEP, "pi_model", 0.5), flips)
    first, second = net(images).softmax(1), flip(net(view).softmax(1), flips)
    return (second - (first if gradient == "both" else first.detach())).square().mean()


@pytest.mark.parametrize("sizes", [{"labeled": 2, "unlabeled": 2}, {"labeled": 1, "unlabeled": 3}])
@pytest.mark.parametrize("on", ["labeled_and_unlabeled", "unlabeled"])
@pytest.mark.parametrize("gradient", ["second", "both"])
def test_loss_and_gradient_are_the_algorithm(sizes, on, gradient):
    strategy, batch = made(consistency_on=on, gradient=gradient), double_batch(**sizes)
    net = strategy.networks["model"]
    every = (batch.images(), (*batch.labeled.slots, *batch.unlabeled.slots))
    images, slots = every if on == "labeled_and_unlabeled" else (batch.unlabeled.image, batch.unlabeled.slots)
    expected = DICE(net(batch.labeled.image), batch.labeled.label[:, None])
    expected = expected + 10 * difference(strategy, images, slots, gradient)
    wanted = torch.autograd.grad(expected, list(net.parameters()))
    (losses,) = strategy.losses(batch, STEP)
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)
    found = torch.autograd.grad(losses.total, list(net.parameters()))
    assert all(torch.allclose(a, b, atol=1e-13, rtol=1e-9) for a, b in zip(found, wanted, strict=True))


def test_a_network_that_sees_single_voxels_is_consistent_under_flips_alone():
    """A flip that were not undone would cost it; so would a view that is not the first one's."""
    strategy, batch = made(strength=0), double_batch()
    network = strategy.networks["model"]
    network.head.weight.data[:, 4:] = 0  # the coarse level
    for kernel in (network.first.weight.data.movedim(axis, 0) for axis in (2, 3, 4)):
        kernel[[0, 2]] = 0
    (losses,) = strategy.losses(batch, STEP)
    assert losses.parts["consistency"].item() == pytest.approx(0, abs=1e-25)
    strategy = made(strength=0)
    (losses,) = strategy.losses(batch, STEP)
    assert losses.parts["consistency"].item() > 1e-6


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, {0: 0, 20: 5, 40: 10, 99: 10}),  # USB: linear over 40 %
        ({"weight": 25, "ramp": "sigmoid", "ramp_share": 0.27}, {0: 25 * math.exp(-5), 27: 25, 99: 25}),  # the paper
    ],
)
def test_the_weight_rises_as_published(options, weights):
    strategy, batch = made(**options), double_batch()
    for index, weight in weights.items():
        (losses,) = strategy.losses(batch, Step(index, 100, 10))
        parts = losses.parts
        rest = losses.total.item() - parts["supervised"].item()
        assert rest == pytest.approx(weight * parts["consistency"].item(), abs=1e-12)


def test_without_unlabeled_samples_there_is_only_the_supervised_loss():
    strategy, batch = made(), double_batch(labeled=2, unlabeled=0)
    (losses,) = strategy.losses(batch, STEP)
    assert losses.total.item() == losses.parts["supervised"].item()
