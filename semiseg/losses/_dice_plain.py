"""The two passes over the voxels that the Dice loss takes, in plain torch, some voxels at a time: on any device."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

_CHUNK_CPU = 2**18
"""Probabilities at a time on a CPU: they and what is made of them stay in its cache."""
_CHUNK = 2**22
"""Probabilities at a time elsewhere: few launches, and little memory beside the logits."""


def sums(logits: Tensor, label_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """What Dice losses are made of, with p the softmax of the logits, for each sample and class.

    Args:
        logits: (n, K, X, Y, Z) float.
        label_maps: M of them, each (b, X, Y, Z) integers of the first b <= n samples.

    Returns:
        float64 sums over voxels: of p, (n, K); and for each label map of p where the label is the class, and the
        count of such voxels, (M, n, K), which are 0 for samples that a map has not.
    """
    predicted = logits.new_zeros(logits.shape[:2], dtype=torch.float64)
    overlap = logits.new_zeros((len(label_maps), *predicted.shape), dtype=torch.float64)
    actual = torch.zeros_like(overlap)
    for _, p, _, masks in _chunks(logits, label_maps):
        predicted += _sum(p)
        for i, mask in enumerate(masks):
            actual[i, : len(mask)] += _sum(mask)
            overlap[i, : len(mask)] += _sum(mask.mul_(p[: len(mask)]))
    return predicted, overlap, actual


def gradient(logits: Tensor, label_maps: Sequence[Tensor], everywhere: Tensor, inside: Tensor, out: Tensor) -> None:
    """The logits' gradient, written into ``out`` (as the logits, contiguous), from that of their softmax.

    That is a constant of sample and class, ``everywhere`` (n, K), plus ``inside`` (M, n, K) where the voxel has the
    class's label in a label map; both float64.
    """
    flat, dtype = out.flatten(2), working_type(logits)
    everywhere, inside = everywhere[..., None].to(dtype), inside[..., None].to(dtype)
    for part, p, by_p, masks in _chunks(logits, label_maps):
        by_p.copy_(everywhere)
        for mask, weight in zip(masks, inside, strict=True):
            by_p[: len(mask)] += mask.mul_(weight[: len(mask)])
        by_p.mul_(p)
        p.mul_(by_p.sum(dim=1, keepdim=True))
        torch.sub(by_p, p, out=flat[:, :, part])


def working_type(logits: Tensor) -> torch.dtype:
    """What the softmax is taken in: float32, or float64 for float64."""
    return torch.promote_types(logits.dtype, torch.float32)


def _chunks(logits: Tensor, label_maps: Sequence[Tensor]) -> Iterator[tuple[slice, Tensor, Tensor, Iterator[Tensor]]]:
    """For some voxels v at a time: where they are, their softmax (n, K, v), as much scratch, and masks (b, K, v).

    All are in memory that is taken once and used again for the next voxels; the masks of the label maps even share
    theirs. Masks are floating-point: torch has vector code for comparing so, and none for bool times float.
    """
    flat, flat_labels = logits.flatten(2), [labels.flatten(1) for labels in label_maps]
    (n, k, voxels), dtype = flat.shape, working_type(logits)
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
