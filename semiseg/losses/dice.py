"""The soft Dice loss, per sample: the formula, and a lean form of it from logits."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTH = 1e-5
_CHUNK_CPU = 2**18
"""Probabilities at a time on a CPU: they and what is made of them stay in its cache."""
_CHUNK = 2**22
"""Probabilities at a time elsewhere: few launches, and little memory beside the logits."""


def dice_from_probabilities(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Soft Dice loss of each sample, the mean over all classes, background included.

    For each class 1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s) with s = 1e-5: MONAI 1.6 ``DiceLoss`` with its
    defaults (Milletari et al. 2016, arXiv:1606.04797, without squares), kept apart by sample.

    Args:
        probabilities: (B, K, X, Y, Z) float, summing to 1 over K.
        labels: (B, X, Y, Z) integer class indices.

    Returns:
        (B,) losses in [0, 1].
    """
    classes = []
    for k in range(probabilities.shape[1]):
        p, t = probabilities[:, k].flatten(1), (labels == k).flatten(1)
        overlap = torch.where(t, p, 0).sum(1)
        classes.append(1 - (2 * overlap + SMOOTH) / (p.sum(1) + t.sum(1) + SMOOTH))
    return torch.stack(classes, dim=1).mean(dim=1)


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """``dice_losses`` for one label map: (B, K, X, Y, Z) and (B, X, Y, Z) give (B,)."""
    return dice_losses(logits, [labels])[0]


def dice_losses(logits: Tensor, label_maps: Sequence[Tensor]) -> list[Tensor]:
    """Soft Dice loss of the logits' softmax against several label maps, in one pass: equation (2)'s of the CPS paper.

    The values are ``dice_from_probabilities``'s, from sums that are added up in float64. For backward nothing is kept
    but the logits, the label maps as they are, and the sums; the gradient of all losses is worked out at once, so
    backward goes through their sum. There are no second derivatives: asking for them raises RuntimeError.

    Args:
        logits: (B, K, X, Y, Z) float; the softmax is taken in float32, or in float64 for float64.
        label_maps: each (b, X, Y, Z) integer class indices of the first b <= B samples; a voxel of another value
            belongs to no class.

    Returns:
        For each label map (b,) losses in [0, 1], float32 (float64 for float64).

    Raises:
        ValueError: for a label map that does not fit the logits.
    """
    for labels in label_maps:
        if labels.shape[1:] != logits.shape[2:] or len(labels) > len(logits):
            raise ValueError(f"a label map of shape {tuple(labels.shape)} does not fit logits {tuple(logits.shape)}")
    return list(_DiceLosses.apply(logits, *label_maps)) if label_maps else []  # type: ignore[no-untyped-call]


class _DiceLosses(torch.autograd.Function):
    """Dice losses whose backward makes the softmax anew, some voxels at a time."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, *label_maps: Tensor) -> tuple[Tensor, ...]:
        n = max(map(len, label_maps))
        predicted = logits.new_zeros((n, logits.shape[1]), dtype=torch.float64)
        overlap = logits.new_zeros((len(label_maps), *predicted.shape), dtype=torch.float64)
        actual = torch.zeros_like(overlap)
        for _, p, _, masks in _chunks(logits[:n], label_maps):
            predicted += _sum(p)
            for i, mask in enumerate(masks):
                actual[i, : len(mask)] += _sum(mask)
                overlap[i, : len(mask)] += _sum(mask.mul_(p[: len(mask)]))
        numerator, denominator = 2 * overlap + SMOOTH, predicted + actual + SMOOTH
        ctx.save_for_backward(logits, numerator, denominator, *label_maps)
        losses = (1 - numerator / denominator).mean(dim=2).to(_working_type(logits))
        return tuple(loss[: len(labels)].clone() for loss, labels in zip(losses, label_maps, strict=True))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With p the softmax, d loss / d p is a constant of the class, plus another where the voxel has its label."""
        if torch.is_grad_enabled():  # as with create_graph; a gradient without a graph would be 0 in silence
            raise RuntimeError("dice_losses has no second derivatives: take dice_from_probabilities of a softmax.")
        logits, numerator, denominator, *label_maps = ctx.saved_tensors
        n, dtype = numerator.shape[1], _working_type(logits)
        upstream = torch.stack([F.pad(g.double(), (0, n - len(g))) for g in gradients])[:, :, None] / logits.shape[1]
        everywhere = (upstream * numerator / denominator**2).sum(dim=0)[:, :, None].to(dtype)
        inside = (-2 * upstream / denominator)[..., None].to(dtype)
        gradient = torch.empty(logits.shape, dtype=logits.dtype, device=logits.device)
        gradient[n:] = 0
        flat = gradient[:n].flatten(2)
        for part, p, by_p, masks in _chunks(logits[:n], label_maps):
            by_p.copy_(everywhere)
            for mask, weight in zip(masks, inside, strict=True):
                by_p[: len(mask)] += mask.mul_(weight[: len(mask)])
            by_p.mul_(p)
            p.mul_(by_p.sum(dim=1, keepdim=True))
            torch.sub(by_p, p, out=flat[:, :, part])
        return gradient, *[None] * len(label_maps)


def _chunks(logits: Tensor, label_maps: Sequence[Tensor]) -> Iterator[tuple[slice, Tensor, Tensor, Iterator[Tensor]]]:
    """For some voxels v at a time: where they are, their softmax (n, K, v), as much scratch, and masks (b, K, v).

    All are in memory that is taken once and used again for the next voxels; the masks of the label maps even share
    theirs. Masks are floating-point: torch has vector code for comparing so, and none for bool times float.
    """
    flat, flat_labels = logits.flatten(2), [labels.flatten(1) for labels in label_maps]
    (n, k, voxels), dtype = flat.shape, _working_type(logits)
    size = min(max((_CHUNK_CPU if logits.is_cpu else _CHUNK) // max(n * k, 1), 1), voxels)
    memory = torch.empty((3, n, k, size), dtype=dtype, device=logits.device)
    classes = torch.arange(k, dtype=dtype, device=logits.device)[:, None]
    for start in range(0, voxels, size):
        part = slice(start, min(start + size, voxels))
        p, scratch, mask = memory[..., : part.stop - start]
        torch.softmax(scratch.copy_(flat[:, :, part]), dim=1, out=p)
        values = (labels[:, None, part].to(dtype) for labels in flat_labels)
        yield part, p, scratch, (torch.eq(value, classes, out=mask[: len(value)]) for value in values)


def _sum(values: Tensor) -> Tensor:
    return values.sum(dim=2).double()  # a chunk's in its own type; it is long serial sums that lose digits


def _working_type(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)
