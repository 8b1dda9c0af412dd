"""The loss of SSL4MIS written out, and entropies known by heart."""

import math

import pytest
import torch
from monai.losses import DiceLoss

from semiseg.interfaces.batch import Step
from semiseg.strategies.entropy_minimization import EntropyMinimization, normalized_entropy
from semiseg.testing.batches import in_double
from semiseg.testing.strategy import CLASSES, StrategyContract, make_batch

DICE = DiceLoss(softmax=True, to_onehot_y=True)
LAST = Step(99, 100, 10)


def made(**options):
    return StrategyContract.make(EntropyMinimization, {"loss": "dice", **options}).double()


def double_batch(**sizes):
    return in_double(make_batch(**sizes))


@pytest.mark.parametrize(
    ("p", "expected"),
    [((1 / 3, 1 / 3, 1 / 3), 1.0), ((1 - 2e-9, 1e-9, 1e-9), 0.0), ((0.5, 0.5, 1e-30), math.log(2) / math.log(3))],
)
def test_entropy_by_heart(p, expected):
    logits = torch.tensor(p, dtype=torch.float64).log().reshape(1, 3, 1, 1, 1).expand(2, 3, 4, 4, 4)
    assert normalized_entropy(logits).tolist() == pytest.approx([expected] * 2, abs=1e-7)


def test_a_probability_of_zero_has_a_finite_gradient():
    logits = torch.tensor([0.0, -1e4], dtype=torch.float64).reshape(1, 2, 1, 1, 1).requires_grad_()
    entropy = normalized_entropy(logits)
    entropy.sum().backward()
    assert entropy.item() == 0
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("sizes", [{"labeled": 2, "unlabeled": 2}, {"labeled": 1, "unlabeled": 3}])
@pytest.mark.parametrize("on", ["labeled_and_unlabeled", "unlabeled"])
def test_loss_and_gradient_are_the_formula(sizes, on):
    strategy, batch = made(weight=0.3, entropy_on=on, ramp_share=0.5), double_batch(**sizes)
    net = strategy.networks["model"]
    images = batch.images() if on == "labeled_and_unlabeled" else batch.unlabeled.image
    p = net(images).softmax(1)
    entropy = -(p * p.log()).sum(1).mean() / math.log(CLASSES)
    expected = DICE(net(batch.labeled.image), batch.labeled.label[:, None]) + 0.3 * entropy
    wanted = torch.autograd.grad(expected, list(net.parameters()))
    (losses,) = strategy.losses(batch, Step(50, 100, 10))
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)
    assert losses.parts["entropy"].item() == pytest.approx(entropy.item(), abs=1e-12)
    found = torch.autograd.grad(losses.total, list(net.parameters()))
    assert all(torch.allclose(a, b, atol=1e-13, rtol=1e-9) for a, b in zip(found, wanted, strict=True))


def test_twice_the_weight_with_dice_ce_is_twice_the_loss_of_ssl4mis():
    strategy, batch = made(weight=0.2, loss="dice_ce", ramp_share=1.0), double_batch()
    net, y = strategy.networks["model"], batch.labeled.label
    logits, p = net(batch.labeled.image), net(batch.images()).softmax(1)
    supervised = 0.5 * (torch.nn.functional.cross_entropy(logits, y) + DICE(logits, y[:, None]))
    weight = 0.1 * math.exp(-5 * (1 - 99 / 100) ** 2)
    theirs = supervised + weight * -(p * p.log()).sum(1).mean() / math.log(CLASSES)
    (losses,) = strategy.losses(batch, LAST)
    assert losses.total.item() == pytest.approx(2 * theirs.item(), abs=1e-12)


def test_without_unlabeled_samples_there_is_only_the_supervised_loss():
    strategy, batch = made(entropy_on="unlabeled"), double_batch(labeled=2, unlabeled=0)
    (losses,) = strategy.losses(batch, LAST)
    assert losses.total.item() == losses.parts["supervised"].item()
