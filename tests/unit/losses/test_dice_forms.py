"""Forms of the Dice loss: against MONAI's options, by hand, and where a class is absent."""

import pytest
import torch
from monai.losses import DiceLoss

from semiseg.losses.dice import dice_from_probabilities, dice_losses
from semiseg.losses.dice_form import DiceForm
from semiseg.losses.regions import RegionLosses

SIZE = (5, 4, 3)


def drawn(n=3, k=4):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((n, k, *SIZE), dtype=torch.float64, generator=generator)
    return logits.requires_grad_(), torch.randint(k - 1, (n, *SIZE), generator=generator)  # the last class is absent


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("batch", [True, False])
def test_background_and_batch_are_monai_s(background, batch):
    logits, labels = drawn()
    monai = DiceLoss(include_background=background, batch=batch, softmax=True, to_onehot_y=True)
    expected = monai(logits, labels[:, None])
    (losses,) = dice_losses(logits, [labels], DiceForm(background=background, batch=batch))
    assert losses.shape == (3,)
    assert losses.mean().item() == pytest.approx(expected.item(), abs=1e-12)
    wanted = torch.autograd.grad(expected, logits)[0]
    assert torch.allclose(torch.autograd.grad(losses.mean(), logits)[0], wanted, atol=1e-14, rtol=1e-10)


@pytest.mark.parametrize(
    "form", [DiceForm(b, s, a) for b in (True, False) for s in (True, False) for a in ("counted", "ignored")]
)
def test_both_implementations_agree_for_label_maps_of_fewer_samples(form):
    logits, labels = drawn()
    lean = dice_losses(logits, [labels, labels[:1]], form)
    softmax = logits.softmax(1)
    for one, n in zip(lean, (3, 1), strict=True):
        plain = dice_from_probabilities(softmax[:n], labels[:n], form)
        assert torch.allclose(one, plain, atol=1e-12)
        (a,), (b,) = (torch.autograd.grad(loss.sum(), logits, retain_graph=True) for loss in (one, plain))
        assert torch.allclose(a, b, atol=1e-14, rtol=1e-9)


def test_an_ignored_class_leaves_the_mean_to_the_others():
    """Two voxels of class 1 found with p 0.5, class 2 absent: 1 - 2 (0.5 + 0.5) / (1 + 2) for class 1."""
    p = torch.tensor([[0.0, 0.0], [0.5, 0.5], [0.5, 0.5]], dtype=torch.float64)[None, :, :, None]
    labels = torch.ones((1, 2, 1), dtype=torch.int64)
    ignored = dice_from_probabilities(p, labels, DiceForm(background=False, absent="ignored"))
    assert ignored.item() == pytest.approx(1 / 3, abs=1e-5)
    counted = dice_from_probabilities(p, labels, DiceForm(background=False))
    assert counted.item() == pytest.approx((1 / 3 + 1) / 2, abs=1e-5)
    nothing = dice_from_probabilities(p, torch.zeros_like(labels), DiceForm(background=False, absent="ignored"))
    assert nothing.item() == 0


def test_a_false_positive_of_an_absent_class_has_a_gradient_in_the_batch_alone():
    """One sample has the class, the other calls voxels by it with p about 0.6: hardly punished per sample."""
    logits = torch.zeros((2, 2, 16, 16), dtype=torch.float64)
    logits[:, 0] = 5
    labels = torch.zeros((2, 16, 16), dtype=torch.int64)
    labels[0, :8], logits[0, 1, :8], logits[0, 0, :8] = 1, 5, 0
    logits[1, 0, :4], logits[1, 1, :4] = 0, 0.4
    logits.requires_grad_()
    found = {}
    for batch in (False, True):
        (losses,) = dice_losses(logits, [labels], DiceForm(background=False, batch=batch))
        found[batch] = torch.autograd.grad(losses.mean(), logits)[0][1, 1, 0, 0].item()
    assert 0 < found[False] < found[True] / 100


def test_regions_have_the_same_forms():
    logits, labels = drawn(k=2)
    labels = labels.clone()
    labels[0, 0, 0, 0] = 1
    one = RegionLosses(
        [[False, True, True], [False, False, True]], DiceForm(batch=True, absent="ignored", background=False)
    )
    (losses,) = one.dice(logits, [labels])
    p, t = logits.sigmoid()[:, 0], (labels == 1).double()  # no voxel is in the second region
    expected = 1 - (2 * (p * t).sum() + 1e-5) / (p.sum() + t.sum() + 1e-5)
    assert torch.allclose(losses, expected.expand(3), atol=1e-12)
