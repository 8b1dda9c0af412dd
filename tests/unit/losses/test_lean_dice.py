import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from monai.losses import DiceLoss
from torch._subclasses.fake_tensor import FakeTensorMode

from semiseg.losses import _dice_plain
from semiseg.losses.dice import dice_from_probabilities, dice_loss, dice_losses
from semiseg.losses.named import named_loss, named_losses

SIZE = (5, 4, 3)


def drawn(seed=0, batch=3, classes=3, size=SIZE, maps=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn((batch, classes, *size), generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes, (maps, batch, *size), generator=generator)
    return logits.to(dtype).requires_grad_(), list(labels)


def plain(logits, labels):
    return dice_from_probabilities(torch.softmax(logits[: len(labels)], dim=1), labels)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 3),
    classes=st.integers(1, 5),
    size=st.tuples(*[st.integers(1, 6)] * 3),
    shares=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    chunk=st.sampled_from([1, 7, 64, 2**17]),
)
def test_losses_and_gradient_are_the_formula_s(seed, batch, classes, size, shares, chunk):
    """Of several label maps, of all samples or the first few, whatever the voxels are cut into."""
    logits, labels = drawn(seed, batch, classes, size, len(shares))
    labels = [one[:share] for one, share in zip(labels, shares, strict=True)]
    weights = [torch.linspace(-1, 2, len(one) + 1, dtype=torch.float64)[1:] for one in labels]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_dice_plain, "_CHUNK_CPU", chunk)
        ours = dice_losses(logits, labels)
        theirs = [plain(logits, one) for one in labels]
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == b.shape
            assert torch.allclose(a, b, rtol=0, atol=1e-12)
        a, b = (
            torch.autograd.grad(sum((w * one).sum() for w, one in zip(weights, losses, strict=True)), logits)[0]
            for losses in (ours, theirs)
        )
    assert torch.allclose(a, b, rtol=0, atol=1e-12)


def test_gradient_by_differences():
    logits, (first, second) = drawn(batch=2)
    weights = torch.tensor([0.3, -1.2], dtype=torch.float64)

    def total(values):
        a, b = dice_losses(values, [first, second[:1]])
        return (a * weights).sum() + b.sum()

    assert torch.autograd.gradcheck(total, logits)


@pytest.mark.parametrize("labels_type", [torch.uint8, torch.int64])
def test_float32_is_monai_s(labels_type):
    logits, (labels,) = drawn(1, 2, 4, (40, 40, 40), maps=1, dtype=torch.float32)
    theirs = DiceLoss(softmax=True, to_onehot_y=True)(logits, labels[:, None])
    ours = dice_loss(logits, labels.to(labels_type)).mean()
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    a, b = (torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs))
    assert (a - b).abs().max() <= 1e-5 * b.abs().max()


def test_float32_does_not_lose_digits_over_many_voxels():
    """A rare class among a million voxels, whose sums are far apart."""
    logits, _ = drawn(2, 1, 3, (100, 100, 100), dtype=torch.float32)
    labels = torch.zeros((1, 100, 100, 100), dtype=torch.uint8)
    labels[0, 0, 0, :50] = 1
    exact = plain(logits.detach().double(), labels)
    assert dice_loss(logits, labels).item() == pytest.approx(exact.item(), abs=1e-7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_logits_are_taken_as_they_are(dtype):
    """Loss and gradient are those of the same logits in float32; the gradient is then rounded."""
    logits, (labels, _) = drawn(3, 2, 4, (8, 8, 8), dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = dice_loss(logits, labels)
    assert loss.dtype == torch.float32
    exact = logits.detach().float().requires_grad_()
    expected = plain(exact, labels)
    assert torch.allclose(loss, expected, rtol=0, atol=1e-6)
    (a,), (b,) = torch.autograd.grad(loss.sum(), logits), torch.autograd.grad(expected.sum(), exact)
    assert a.dtype == dtype
    assert (a.float() - b).abs().max() <= 0.005 * b.abs().max()


def test_voxels_of_no_class_count_for_none():
    logits, (labels, _) = drawn()
    labels[0, 0] = 255
    labels[1, 1] = -1
    assert torch.allclose(dice_loss(logits, labels), plain(logits, labels), rtol=0, atol=1e-12)


def test_logits_may_lie_in_memory_as_they_like():
    logits, (labels, _) = drawn()
    expected = plain(logits, labels)
    for view in (logits.to(memory_format=torch.channels_last_3d), logits.transpose(2, 4).clone().transpose(2, 4)):
        assert torch.allclose(dice_loss(view, labels), expected, rtol=0, atol=1e-12)


def test_an_empty_batch_has_no_losses_and_an_empty_gradient():
    logits = torch.zeros((0, 3, *SIZE), requires_grad=True)
    labels = torch.zeros((0, *SIZE), dtype=torch.int64)
    losses = named_losses(logits, [(labels, "dice"), (labels, "cross_entropy"), (labels, "dice_ce")])
    assert [loss.shape for loss in losses] == [(0,)] * 3
    (gradient,) = torch.autograd.grad(sum(loss.sum() for loss in losses), logits)
    assert gradient.shape == logits.shape


def saved(loss):
    """The tensors that a loss keeps for backward."""
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        loss()
    return kept


def test_nothing_is_kept_but_logits_labels_and_sums():
    logits, labels = drawn(0, 2, 4, (16, 16, 16), dtype=torch.float32)
    own = {tensor.untyped_storage().data_ptr() for tensor in (logits, *labels)}
    others = [t for t in saved(lambda: dice_losses(logits, labels)) if t.untyped_storage().data_ptr() not in own]
    assert sum(t.untyped_storage().nbytes() for t in others) == 2 * 2 * 2 * 4 * 8  # two sums a class, sample and map


def test_shapes_alone_are_enough():
    """A step's memory is worked out on fake tensors."""
    with FakeTensorMode():
        logits = torch.empty((2, 4, 64, 64, 64), requires_grad=True)
        labels = torch.empty((2, 64, 64, 64), dtype=torch.uint8)
        first, second = dice_losses(logits, [labels, labels[:1]])
        (first.sum() + second.sum()).backward()
        assert (first.shape, second.shape) == ((2,), (1,))
        assert logits.grad.shape == logits.shape
    meta = torch.empty((2, 4, 8, 8, 8), device="meta", requires_grad=True)
    assert dice_loss(meta, torch.empty((2, 8, 8, 8), dtype=torch.int64, device="meta")).shape == (2,)


def test_second_derivatives_are_refused():
    logits, (labels, _) = drawn()
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(dice_loss(logits, labels).sum(), logits, create_graph=True)


def test_the_same_numbers_every_time():
    logits, labels = drawn(0, 2, 4, (24, 24, 24), dtype=torch.float32)
    runs = []
    for _ in range(2):
        losses = dice_losses(logits, labels)
        runs.append([*losses, *torch.autograd.grad(sum(one.sum() for one in losses), logits)])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize("shape", [(3, 5, 4, 2), (4, *SIZE), (3, 1, *SIZE)])
def test_a_label_map_that_does_not_fit_is_refused(shape):
    logits, _ = drawn()
    with pytest.raises(ValueError, match=r"does not fit logits \(3, 3, 5, 4, 3\)"):
        dice_loss(logits, torch.zeros(shape, dtype=torch.int64))


def test_several_named_losses_are_the_single_ones():
    logits, (first, second) = drawn()
    wanted = [(first, "dice_ce"), (second[:1], "cross_entropy"), (second, "dice"), (first[:2], "dice_ce")]
    for found, (labels, kind) in zip(named_losses(logits, wanted), wanted, strict=True):
        assert torch.allclose(found, named_loss(logits[: len(labels)], labels, kind), rtol=0, atol=1e-12)
