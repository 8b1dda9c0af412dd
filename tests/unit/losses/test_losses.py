import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from monai.losses import DiceCELoss, DiceLoss

from semiseg.losses.dice import dice_from_probabilities, dice_loss
from semiseg.losses.named import named_loss


def drawn(seed, batch, classes, size, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn((batch, classes, *size), generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes, (batch, *size), generator=generator)
    return logits.requires_grad_(), labels


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 3),
    classes=st.integers(2, 5),
    size=st.tuples(*[st.integers(1, 6)] * 3),
    scale=st.sampled_from([0.1, 1.0, 20.0]),
)
def test_dice_and_its_gradient_are_monai_s(seed, batch, classes, size, scale):
    logits, labels = drawn(seed, batch, classes, size, scale)
    ours, theirs = dice_loss(logits, labels).mean(), DiceLoss(softmax=True, to_onehot_y=True)(logits, labels[:, None])
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-12)
    (a,), (b,) = (torch.autograd.grad(loss, logits) for loss in (ours, theirs))
    assert torch.allclose(a, b, atol=1e-13)


@pytest.mark.parametrize("has_ignored", [False, True])
@pytest.mark.parametrize("kind", ["dice", "cross_entropy", "dice_ce"])
def test_a_slice_has_the_loss_of_a_volume_of_one_slice(kind, has_ignored):
    logits, labels = drawn(0, 2, 4, (7, 5))
    if has_ignored:
        labels[:, ::3] = -100
    flat = named_loss(logits, labels, kind, has_ignored)
    thin = named_loss(logits[..., None], labels[..., None], kind, has_ignored)
    assert torch.allclose(flat, thin, rtol=1e-14, atol=0)
    (a,), (b,) = (torch.autograd.grad(loss.sum(), logits, retain_graph=True) for loss in (flat, thin))
    assert torch.allclose(a, b, rtol=1e-12, atol=1e-16)
    if not has_ignored:
        peer = {"dice": DiceLoss, "dice_ce": DiceCELoss}.get(kind)
        theirs = peer(softmax=True, to_onehot_y=True)(logits, labels[:, None]) if peer else None
        assert theirs is None or flat.mean().item() == pytest.approx(theirs.item(), abs=1e-12)


def test_dice_in_float32_is_monai_s_to_1e_6():
    logits, labels = drawn(0, 2, 4, (48, 48, 48))
    single = logits.detach().float()
    theirs = DiceLoss(softmax=True, to_onehot_y=True)(single, labels[:, None])
    assert dice_loss(single, labels).mean().item() == pytest.approx(theirs.item(), abs=1e-6)


def test_dice_by_hand():
    # Two voxels, two classes. Class 0: overlap 0.8, sizes 1.2 and 1; class 1: overlap 0.6, sizes 0.8 and 1.
    p = torch.tensor([[0.8, 0.4], [0.2, 0.6]], dtype=torch.float64).reshape(1, 2, 2, 1, 1)
    labels = torch.tensor([0, 1]).reshape(1, 2, 1, 1)
    expected = 1 - (2 * 0.8 / 2.2 + 2 * 0.6 / 1.8) / 2
    assert dice_from_probabilities(p, labels).item() == pytest.approx(expected, abs=1e-5)


def test_dice_is_by_sample():
    logits, labels = drawn(3, 3, 3, (4, 4, 4))
    alone = torch.cat([dice_loss(logits[i : i + 1], labels[i : i + 1]) for i in range(3)])
    assert torch.allclose(dice_loss(logits, labels), alone, atol=1e-14)


def test_labels_may_be_uint8():
    logits, labels = drawn(4, 2, 3, (4, 4, 4))
    for kind in ("dice", "cross_entropy", "dice_ce"):
        assert torch.equal(named_loss(logits, labels, kind), named_loss(logits, labels.to(torch.uint8), kind))


def test_dice_ce_is_monai_s():
    logits, labels = drawn(5, 2, 3, (5, 4, 3))
    theirs = DiceCELoss(softmax=True, to_onehot_y=True)(logits, labels[:, None])
    assert named_loss(logits, labels, "dice_ce").mean().item() == pytest.approx(theirs.item(), abs=1e-12)
