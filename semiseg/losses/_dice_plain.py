"""The Dice loss's two passes over the voxels in plain torch, in chunks of voxels, on any device."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

_CHUNK_CPU = 2**18
"""Number of probabilities per chunk on a CPU: they and intermediate results stay in its cache."""
_CHUNK = 2**22
"""Number of probabilities per chunk elsewhere: few launches, and little memory compared with the logits."""


def sums(logits: Tensor, label_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sums in the Dice losses, for each sample and class; p is the softmax of the logits.

    Args:
        logits: (n, K, \\*spatial) float.
        label_maps: M label maps, each (b, \\*spatial) integers for the first b <= n samples.

    Returns:
        float64 sums over voxels: of p, (n, K); and for each label map, of p over voxels labeled as the class, and the
        number of these voxels, (M, n, K), which are 0 for samples without a label.
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
    """Write the logits' gradient into ``out`` (shaped like the logits, contiguous), given that of their softmax.

    The softmax's gradient is ``everywhere`` (n, K), a constant of sample and class, plus ``inside`` (M, n, K) at voxels
    that a label map assigns to the class; both float64.
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
    """Return the dtype of the softmax: float32, or float64 for float64."""
    return torch.promote_types(logits.dtype, torch.float32)


def _chunks(logits: Tensor, label_maps: Sequence[Tensor]) -> Iterator[tuple[slice, Tensor, Tensor, Iterator[Tensor]]]:
    """Yield for each chunk of v voxels: its slice, softmax (n, K, v), a scratch buffer like it, and masks (b, K, v).

    All buffers are allocated once and reused for the next chunk; the label maps' masks even share one. Masks are
    floating-point, since torch vectorizes such comparisons but not bool times float.
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
    return values.sum(dim=2).double()  # the chunk's own dtype suffices; long serial sums lose digits
