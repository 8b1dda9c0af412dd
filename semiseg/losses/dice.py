"""The soft Dice loss: the formula, and a memory-efficient version from logits."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from semiseg.losses._dice_plain import working_type
from semiseg.losses.dice_form import MONAI, DiceForm
from semiseg.losses.dice_kernels import passes_for
from semiseg.types import IGNORE


def dice_from_probabilities(
    probabilities: Tensor, labels: Tensor, form: DiceForm = MONAI, weights: Tensor | None = None
) -> Tensor:
    """Return the soft Dice loss of each sample, by default averaged over all classes, including background.

    For each class 1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s) with s = 1e-5: MONAI 1.6 ``DiceLoss`` with its defaults
    (Milletari et al. 2016, arXiv:1606.04797, without squares), per sample.

    Args:
        probabilities: (B, K, \\*spatial) float, summing to 1 over K.
        labels: (B, \\*spatial) integer class indices.
        form: the classes and samples of the sums.
        weights: factors of the classes' losses, (K,), by which the mean is not divided; by default all 1.

    Returns:
        (B,) losses, in [0, 1] without weights.
    """
    sums: list[tuple[Tensor, Tensor, Tensor]] = []
    for k in range(probabilities.shape[1]):
        p, t = probabilities[:, k].flatten(1), (labels == k).flatten(1)
        sums.append((p.sum(1), torch.where(t, p, 0).sum(1), t.sum(1)))
    predicted, overlap, actual = (torch.stack(one, dim=1) for one in zip(*sums, strict=True))
    return form.losses(predicted, overlap, actual, weights)


def dice_of_known(
    probabilities: Tensor, labels: Tensor, form: DiceForm = MONAI, weights: Tensor | None = None
) -> Tensor:
    """Return ``dice_from_probabilities`` over the voxels that are not IGNORE: elsewhere, probabilities count as 0."""
    return dice_from_probabilities(probabilities * (labels != IGNORE)[:, None], labels, form, weights)


def dice_loss(logits: Tensor, labels: Tensor, form: DiceForm = MONAI) -> Tensor:
    """Return ``dice_losses`` for one label map: (B, K, \\*spatial) and (B, \\*spatial) give (B,)."""
    return dice_losses(logits, [labels], form)[0]


def dice_losses(logits: Tensor, label_maps: Sequence[Tensor], form: DiceForm = MONAI) -> list[Tensor]:
    """Return the soft Dice losses of the logits' softmax against several label maps in one pass (CPS, equation 2).

    Values equal ``dice_from_probabilities``, from sums in float64. Only the logits, the unmodified label maps and the
    sums are kept for backward; the gradients of all losses are computed together, so backward goes through their sum.
    Second derivatives are not supported: requesting them raises RuntimeError. On a CUDA GPU, Triton kernels are used if
    a trial finds them correct and faster, unless torch is set to be deterministic.

    Args:
        logits: (B, K, \\*spatial) float; the softmax is computed in float32, or in float64 for float64.
        label_maps: each (b, \\*spatial) integer class indices of the first b <= B samples; a voxel with any other value
            belongs to no class.
        form: the classes and samples of the sums.

    Returns:
        For each label map (b,) losses in [0, 1], float32 (float64 for float64).

    Raises:
        ValueError: for a label map that does not match the logits.
    """
    for labels in label_maps:
        if labels.shape[1:] != logits.shape[2:] or len(labels) > len(logits):
            raise ValueError(f"a label map of shape {tuple(labels.shape)} does not fit logits {tuple(logits.shape)}")
    if not label_maps:
        return []
    predicted, overlap, actual = _DiceSums.apply(logits, *label_maps)  # type: ignore[no-untyped-call]
    return [
        form.losses(predicted[:b], overlap[i, :b], actual[i, :b]).to(working_type(logits))
        for i, b in enumerate(map(len, label_maps))
    ]


class _DiceSums(torch.autograd.Function):
    """The sums in the Dice losses (``_dice_plain.sums``), whose backward recomputes the softmax."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, *label_maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = logits[: max(map(len, label_maps))]
        ctx.passes = passes_for(first, label_maps)
        predicted, overlap, actual = ctx.passes.sums(first, label_maps)
        ctx.save_for_backward(logits, *label_maps)
        ctx.mark_non_differentiable(actual)
        return predicted, overlap, actual

    @staticmethod
    def backward(ctx: Any, everywhere: Tensor, inside: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients: d loss / d p (p: softmax) is a constant per class, plus another at labeled voxels."""
        if torch.is_grad_enabled():  # as with create_graph; a gradient without a graph would silently be 0
            raise RuntimeError("dice_losses has no second derivatives: take dice_from_probabilities of a softmax.")
        logits, *label_maps = ctx.saved_tensors
        n = len(everywhere)
        gradient = torch.empty(logits.shape, dtype=logits.dtype, device=logits.device)
        gradient[n:] = 0
        ctx.passes.gradient(logits[:n], label_maps, everywhere, inside, out=gradient[:n])
        return gradient, *[None] * len(label_maps)
