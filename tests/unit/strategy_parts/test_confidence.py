import math

import pytest
import torch
from monai.losses import DiceLoss

from semiseg.strategy_parts.confidence import IGNORE, accepted_share, confident_labels, masked_loss


def from_probabilities(*rows):
    """Logits of one sample, a line of voxels: (1, K, n, 1, 1)."""
    return torch.tensor(rows, dtype=torch.float64).log().T[None, :, :, None, None].requires_grad_()


LOGITS = from_probabilities((0.9, 0.1), (0.3, 0.7), (0.45, 0.55), (0.2, 0.8))


def test_a_voxel_below_the_threshold_is_ignored_and_not_background():
    labels = confident_labels(LOGITS, 0.75)
    assert labels.flatten().tolist() == [0, IGNORE, IGNORE, 1]
    assert labels.dtype == torch.int64
    assert not labels.requires_grad
    assert accepted_share(labels).tolist() == [0.5]
    assert confident_labels(LOGITS, 0.0).flatten().tolist() == [0, 1, 1, 1]


def test_cross_entropy_is_the_accepted_voxels_over_all_voxels():
    loss = masked_loss(LOGITS, confident_labels(LOGITS, 0.75), "cross_entropy")
    assert loss.tolist() == pytest.approx([-(math.log(0.9) + math.log(0.8)) / 4])


@pytest.mark.parametrize("kind", ["cross_entropy", "dice", "dice_ce"])
def test_ignored_voxels_have_no_gradient_and_no_say(kind):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((2, 3, 4, 4, 4), generator=generator, dtype=torch.float64).requires_grad_()
    labels = torch.randint(0, 3, (2, 4, 4, 4), generator=generator)
    ignored = torch.rand(labels.shape, generator=generator) < 0.5
    labels[ignored] = IGNORE
    loss = masked_loss(logits, labels, kind)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert (gradient.movedim(1, -1)[ignored] == 0).all()
    assert (gradient.movedim(1, -1)[~ignored] != 0).all()
    other = torch.where(ignored[:, None], torch.randn(logits.shape, generator=generator, dtype=torch.float64), logits)
    assert torch.allclose(masked_loss(other, labels, kind), loss, rtol=1e-12, atol=0)


def test_dice_is_monai_s_on_the_accepted_voxels():
    labels = confident_labels(LOGITS, 0.75)
    kept = LOGITS[:, :, [0, 3]]
    expected = DiceLoss(softmax=True, to_onehot_y=True)(kept, torch.tensor([0, 1]).reshape(1, 1, 2, 1, 1))
    assert masked_loss(LOGITS, labels, "dice").item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("kind", ["cross_entropy", "dice", "dice_ce"])
def test_nothing_accepted_is_no_loss(kind):
    labels = confident_labels(LOGITS, 0.99)
    assert (labels == IGNORE).all()
    assert masked_loss(LOGITS, labels, kind).tolist() == pytest.approx([0.0], abs=1e-12)


@pytest.mark.parametrize("kind", ["cross_entropy", "dice", "dice_ce"])
def test_no_samples_have_no_losses(kind):
    logits = torch.zeros((0, 3, 2, 2, 2))
    labels = confident_labels(logits, 0.5)
    assert masked_loss(logits, labels, kind).shape == accepted_share(labels).shape == (0,)
