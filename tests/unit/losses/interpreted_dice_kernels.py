"""The Triton kernels of the Dice loss, run by Triton's interpreter: test_dice_kernels.py starts this file.

By itself: ``TRITON_INTERPRET=1 pytest tests/unit/losses/interpreted_dice_kernels.py``. Triton decides at its import
whether it interprets.
"""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from semiseg.losses import _dice_plain
from semiseg.losses import _dice_triton as kernels
from semiseg.losses.dice import dice_losses
from semiseg.losses.dice_kernels import judge

SIZE = (9, 8, 33)


@pytest.fixture
def used(monkeypatch):
    """Dice losses are the kernels', and a list of the calls that prove it."""
    calls = []

    def passes(logits, label_maps):
        assert kernels.fits(logits, label_maps)
        calls.append(len(label_maps))
        return kernels

    monkeypatch.setattr("semiseg.losses.dice.passes_for", passes)
    return calls


def drawn(seed=0, batch=3, classes=4, size=SIZE, shares=(3, 2), dtype=torch.float32, labels_type=torch.uint8):
    generator = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn((batch, classes, *size), generator=generator)).to(dtype)
    maps = [torch.randint(classes, (share, *size), generator=generator).to(labels_type) for share in shares]
    constants = torch.randn((1 + len(maps), batch, classes), generator=generator, dtype=torch.float64)
    return logits, maps, constants[0], constants[1:]


def assert_alike(logits, maps, everywhere, inside):
    exact = logits.double()
    for ours, theirs in zip(kernels.sums(logits, maps), _dice_plain.sums(exact, maps), strict=True):
        assert ours.dtype == torch.float64
        assert (ours - theirs).abs().max() <= 1e-6 * theirs.abs().max().clamp(min=1)
    ours = torch.full(logits.shape, torch.nan, dtype=logits.dtype)
    theirs = torch.empty(logits.shape, dtype=torch.float64)
    kernels.gradient(logits, maps, everywhere, inside, out=ours)
    _dice_plain.gradient(exact, maps, everywhere, inside, out=theirs)
    scale = everywhere.abs().max() + inside.abs().sum(dim=0).max()  # of one voxel they may all but cancel
    rounding = 0 if logits.dtype == torch.float32 else torch.finfo(logits.dtype).eps
    assert (ours.double() - theirs).abs().max() <= 1e-6 * scale + rounding * theirs.abs().max()


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 3),
    classes=st.sampled_from([2, 3, 4, 5, 14, 64]),
    size=st.one_of(
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40)),
        st.tuples(st.integers(1, 30), st.integers(1, 80)),
    ),
    shares=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    labels_type=st.sampled_from([torch.uint8, torch.int16, torch.int32, torch.int64]),
)
def test_sums_and_gradient_are_plain_torch_s(seed, batch, classes, size, shares, dtype, labels_type):
    """Tiles that end beyond the voxels, classes that are no power of two, maps of some samples or of none."""
    shares = [min(share, batch) for share in shares]
    assert_alike(*drawn(seed, batch, classes, size, shares, dtype, labels_type))


def test_voxels_of_no_class_count_for_none():
    for labels_type, other in [(torch.uint8, 255), (torch.int64, -1), (torch.int16, 4)]:
        logits, maps, *constants = drawn(labels_type=labels_type)
        maps[0][:, 0] = maps[1][0] = other
        assert_alike(logits, maps, *constants)


def test_logits_and_labels_may_lie_in_memory_as_they_like():
    flat, *rest = drawn(size=(9, 20))
    assert_alike(flat.to(memory_format=torch.channels_last), *rest)
    logits, maps, *constants = drawn()
    whole = torch.randn(3, 9, *SIZE)
    whole[:, 2:6] = logits
    maps = [one.transpose(1, 3).contiguous().transpose(1, 3) for one in maps]
    for view in (logits.to(memory_format=torch.channels_last_3d), whole[:, 2:6], logits.mT.contiguous().mT):
        assert torch.equal(view, logits)
        assert_alike(view, maps, *constants)


@pytest.mark.parametrize("size", [(9, 67), (1, 5000)])
def test_images_of_two_axes_may_lie_in_memory_as_they_like(size):
    logits, maps, *constants = drawn(size=size)
    for view in (logits, logits.to(memory_format=torch.channels_last), logits.mT.contiguous().mT):
        assert torch.equal(view, logits)
        assert_alike(view, maps, *constants)


def test_large_logits_do_not_overflow():
    logits, maps, *constants = drawn()
    assert_alike(100 * logits, maps, *constants)


def test_losses_through_the_kernels_are_monai_s(used):
    """In one pass: against labels of half of the batch, and pseudo-labels of all of it."""
    from monai.losses import DiceLoss

    logits, (labels, pseudo), *_ = drawn(batch=4, shares=(2, 4), size=(16, 12, 10))
    logits.requires_grad_()
    monai = DiceLoss(softmax=True, to_onehot_y=True, reduction="none")
    theirs = [monai(logits[: len(one)], one[:, None]).flatten(1).mean(1) for one in (labels, pseudo)]
    ours = dice_losses(logits, [labels, pseudo])
    assert used == [2]
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-6)
    a, b = (torch.autograd.grad(sum(one.sum() for one in losses), logits)[0] for losses in (ours, theirs))
    assert (a - b).abs().max() <= 1e-5 * b.abs().max()


def test_samples_without_labels_have_no_gradient(used):
    logits, (labels,), *_ = drawn(shares=(2,))
    logits.requires_grad_()
    (losses,) = dice_losses(logits, [labels])
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert used == [1]
    assert gradient[:2].any()
    assert not gradient[2].any()


def test_the_same_numbers_every_time():
    logits, maps, *_ = drawn()
    first, second = (kernels.sums(logits, maps) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_what_the_kernels_do_not_take_is_left_to_plain_torch():
    logits, maps, *_ = drawn()
    assert kernels.fits(logits, maps)
    assert not kernels.fits(logits.double(), maps)
    assert not kernels.fits(logits[:0], [])
    assert not kernels.fits(logits, [maps[0].float()])
    assert not kernels.fits(torch.empty((1, 65, 2, 2, 2)), [])
    assert not kernels.fits(torch.empty((1, 4, 2**10, 2**10, 2**9), device="meta"), [])


def test_the_trial_finds_them_right_and_on_a_cpu_slow():
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        verdict = judge(lambda: kernels, torch.device("cpu"), 4, dtype, size=2**13)
        assert verdict.reason.startswith("plain torch, ")
        assert " ms in a trial that took Triton kernels " in verdict.reason
