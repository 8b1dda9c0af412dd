"""Pseudo-labels with a threshold, written out voxel by voxel."""

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss

from semiseg.interfaces.batch import Step
from semiseg.strategies.pseudo_label import PseudoLabel
from semiseg.testing.batches import in_double
from semiseg.testing.strategy import StrategyContract, make_batch

DICE = DiceLoss(softmax=True, to_onehot_y=True)


def made(**options):
    return StrategyContract.make(PseudoLabel, {"loss": "dice", **options}).double()


def double_batch(**sizes):
    return in_double(make_batch(**sizes))


def written_out(strategy, batch, threshold):
    """(supervised, pseudo, accepted share): CE(z, argmax p) 1[max p >= threshold], over all voxels."""
    net = strategy.networks["model"]
    logits = net(batch.unlabeled.image)
    confidence, labels = logits.detach().softmax(1).max(1)
    mask = confidence >= threshold
    pseudo = (F.cross_entropy(logits, labels, reduction="none") * mask).mean()
    return DICE(net(batch.labeled.image), batch.labeled.label[:, None]), pseudo, mask.double().mean()


@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.5])
def test_loss_and_gradient_are_the_formula(threshold):
    strategy, batch = made(threshold=threshold, weight=0.7), double_batch(labeled=1, unlabeled=3)
    supervised, pseudo, accepted = written_out(strategy, batch, threshold)
    expected = supervised + 0.7 * pseudo
    wanted = torch.autograd.grad(expected, list(strategy.parameters()))
    (losses,) = strategy.losses(batch, Step(40, 100, 10))
    assert 0 < accepted <= 1
    assert losses.total.item() == pytest.approx(expected.item(), abs=1e-12)
    assert losses.parts["accepted"].item() == pytest.approx(accepted.item(), abs=1e-6)
    found = torch.autograd.grad(losses.total, list(strategy.parameters()))
    assert all(torch.allclose(a, b, atol=1e-13, rtol=1e-9) for a, b in zip(found, wanted, strict=True))


def test_a_rejected_voxel_is_ignored_and_not_background():
    """SSL4MIS's FixMatch masks the argmax, so that a rejected voxel becomes class 0 and is learned as background."""
    strategy, batch = made(threshold=0.999), double_batch()
    (losses,) = strategy.losses(batch, Step(99, 100, 10))
    assert losses.parts["accepted"].item() == 0
    assert losses.parts["pseudo"].item() == 0
    gradient = torch.autograd.grad(losses.total, list(strategy.parameters()))
    supervised, _, _ = written_out(strategy, batch, 1.0)
    wanted = torch.autograd.grad(supervised, list(strategy.parameters()))
    assert all(torch.allclose(a, b, atol=1e-14, rtol=1e-9) for a, b in zip(gradient, wanted, strict=True))


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, {0: 0, 10: 0.25, 20: 0.5, 40: 1, 99: 1}),  # USB: clip(t / 0.4, 0, 1)
        ({"weight": 3, "wait_share": 0.2, "ramp_share": 0.5}, {0: 0, 19: 0, 20: 0, 45: 1.5, 70: 3, 99: 3}),  # Lee
    ],
)
def test_the_weight_rises_as_published(options, weights):
    strategy, batch = made(threshold=0, **options), double_batch()
    for index, weight in weights.items():
        (losses,) = strategy.losses(batch, Step(index, 100, 10))
        parts = losses.parts
        rest = losses.total.item() - parts["supervised"].item()
        assert rest == pytest.approx(weight * parts["pseudo"].item(), abs=1e-12)


def test_a_ramp_that_never_ends_is_refused():
    with pytest.raises(ValueError, match="together are more than 1"):
        PseudoLabel.Options(wait_share=0.7, ramp_share=0.5)


def test_without_unlabeled_samples_there_is_only_the_supervised_loss():
    strategy, batch = made(), double_batch(labeled=2, unlabeled=0)
    (losses,) = strategy.losses(batch, Step(99, 100, 10))
    assert losses.total.item() == losses.parts["supervised"].item()
