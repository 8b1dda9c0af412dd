"""Time of the Dice loss, forward and backward, against MONAI's DiceLoss: supervised, and with pseudo-labels beside.

Run with ``pytest tests/benchmarks/test_dice_loss_speed.py --benchmark-enable -s``: the ratios are printed at the end.
The two take turns, so that a change of the machine's load meets both. Values are asserted, times are not. With a CUDA
GPU it is there, at 128 voxels along each axis, that they are measured; what is also printed then is whether semiseg's
are Triton kernels, and how long those take beside plain torch.
"""

import statistics
import time

import pytest
import torch
from monai.losses import DiceLoss

from semiseg.losses.dice import dice_losses
from semiseg.losses.dice_kernels import verdicts

PHI = 0.5
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MONAI = DiceLoss(softmax=True, to_onehot_y=True)


def monai_supervised(logits, labels, pseudo):
    return MONAI(logits, labels[:, None])


def semiseg_supervised(logits, labels, pseudo):
    (own,) = dice_losses(logits, [labels])
    return own.mean()


def monai_cps(logits, labels, pseudo):
    """Half of the batch is labeled: the loss of one network, by the CPS paper's equations 2 to 4."""
    labeled, unlabeled = logits.chunk(2)
    half = len(labeled)
    crossed = MONAI(labeled, pseudo[:half, None]) + MONAI(unlabeled, pseudo[half:, None])
    return MONAI(labeled, labels[:half, None]) + PHI * crossed


def semiseg_cps(logits, labels, pseudo):
    half = len(logits) // 2
    own, crossed = dice_losses(logits, [labels[:half], pseudo])
    return own.mean() + PHI * (crossed[:half].mean() + crossed[half:].mean())


PAIRS = {
    "supervised": (monai_supervised, semiseg_supervised),
    "supervised and pseudo-labels": (monai_cps, semiseg_cps),
}


def step(method, logits, labels, pseudo):
    logits.grad = None
    loss = method(logits, labels, pseudo)
    loss.backward()
    return loss.detach(), logits.grad


def saved_bytes(method, logits, *label_maps):
    """Bytes that a loss keeps for backward beside its inputs, each storage once."""
    own = {t.untyped_storage().data_ptr() for t in (logits, *label_maps)}
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        method(logits, *label_maps)
    return sum(t.untyped_storage().nbytes() for address, t in kept.items() if address not in own)


def now():
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def median_seconds(methods, arguments, rounds):
    seconds = {method: [] for method in methods}
    for _ in range(rounds):
        for method in methods:
            started = now()
            step(method, *arguments)
            seconds[method].append(now() - started)
    return [statistics.median(seconds[method]) for method in methods]


@pytest.mark.parametrize("what", PAIRS)
def test_dice_loss_forward_and_backward(benchmark, capsys, what):
    side = (128 if DEVICE.type == "cuda" else 96) if benchmark.enabled else 24
    random = {"generator": torch.Generator(DEVICE).manual_seed(0), "device": DEVICE}
    logits = (3 * torch.randn((4, 4, side, side, side), **random)).requires_grad_()
    labels = torch.randint(0, 4, (4, side, side, side), **random)
    pseudo = torch.randint(0, 4, (4, side, side, side), dtype=torch.uint8, **random)
    arguments = (logits, labels, pseudo)
    monai, ours = PAIRS[what]

    loss, gradient = benchmark.pedantic(step, (ours, *arguments), rounds=3, warmup_rounds=1)
    expected, expected_gradient = step(monai, *arguments)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    assert (gradient - expected_gradient).abs().max() <= 1e-5 * expected_gradient.abs().max()
    kept = saved_bytes(ours, *arguments)
    assert kept < 4096  # sums by sample and class

    if benchmark.enabled:
        theirs, own = median_seconds((monai, ours), arguments, rounds=11)
        monai_kept = saved_bytes(monai, *arguments)
        with capsys.disabled():
            print(
                f"\n{what}: monai {theirs * 1e3:.3g} ms, semiseg {own * 1e3:.3g} ms: {theirs / own:.2f} times;"
                f" kept for backward, beside its inputs: monai {monai_kept / 2**20:.0f} MiB, semiseg {kept} bytes",
                *verdicts(),
                sep="\n",
            )
