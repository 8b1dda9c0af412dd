"""The Dice loss's two passes over the voxels, each a single Triton kernel that reads once and stores no intermediates.

Memory traffic is minimal: logits and label maps are read once for the sums, and once more for the gradient, which is
written. Sums are in float32 within a tile, then in float64 over tiles. There are no atomics, so results are
reproducible. ``_dice_plain`` documents both functions and is the reference in tests.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

TILE = 4096
"""Number of probabilities in a tile: 32 in each thread's registers."""
MAX_CLASSES = 64
_LOGITS = {torch.float32, torch.bfloat16, torch.float16}
_LABELS = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


def fits(logits: Tensor, label_maps: Sequence[Tensor]) -> bool:
    """Return whether the kernels support such logits (n, K, \\*spatial) and label maps."""
    return (
        logits.dtype in _LOGITS
        and logits.numel() > 0
        and logits.shape[1] <= MAX_CLASSES
        and logits[0].numel() < 2**31  # offsets within a sample are 32-bit
        and all(labels.dtype in _LABELS for labels in label_maps)
    )


def sums(logits: Tensor, label_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same as ``_dice_plain.sums``."""
    flat, maps, tiles = logits.flatten(2), _flat(label_maps), _tiles(logits)
    n, k, _ = flat.shape
    partial = torch.empty((tiles, n, 1 + 2 * len(maps), k), device=logits.device)
    with _on(logits):
        _sums[tiles, n](partial, flat, maps, _counts(maps), *flat.shape[2:], *flat.stride(), **_sizes(k))
    total = partial.sum(dim=0, dtype=torch.float64)
    return total[:, 0], total[:, 1::2].transpose(0, 1), total[:, 2::2].transpose(0, 1)


def gradient(logits: Tensor, label_maps: Sequence[Tensor], everywhere: Tensor, inside: Tensor, out: Tensor) -> None:
    """Do the same as ``_dice_plain.gradient``."""
    flat, maps, written = logits.flatten(2), _flat(label_maps), out.flatten(2)
    n, k, _ = flat.shape
    constants = torch.cat([everywhere[None], inside]).float().contiguous()  # (1 + M, n, K)
    with _on(logits):
        _gradient[_tiles(logits), n](
            *(written, *written.stride(), flat, maps, _counts(maps), constants, n * k, *flat.shape[2:], *flat.stride()),
            **_sizes(k),
        )


def _flat(label_maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(labels.contiguous().flatten(1) for labels in label_maps)


def _counts(maps: Sequence[Tensor]) -> tuple[int, ...]:
    return tuple(map(len, maps))


def _sizes(n_classes: int) -> dict[str, int]:
    """Return the sizes of a tile: all classes, padded to a power of two, times a width in voxels."""
    padded = triton.next_power_of_2(n_classes)
    return {"classes": n_classes, "padded": padded, "width": TILE // padded}


def _tiles(logits: Tensor) -> int:
    _, n_classes, *size = logits.shape
    return -(-math.prod(size) // _sizes(n_classes)["width"])


def _on(tensor: Tensor) -> AbstractContextManager[Any]:
    """Return a context that makes the tensor's GPU current, as kernel launches require."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


@triton.jit
def _softmax(logits, sample, k, v, voxels, by_sample, by_class, by_voxel, classes):
    """Return the softmax of a tile's voxels v and classes k (columns and rows) in float32; 0 beyond either's end."""
    there = (k < classes)[:, None] & (v < voxels)[None, :]
    places = logits + sample.to(tl.int64) * by_sample + k[:, None] * by_class + v[None, :] * by_voxel
    x = tl.where((k < classes)[:, None], tl.load(places, mask=there, other=0).to(tl.float32), float("-inf"))
    p = tl.exp(x - tl.max(x, axis=0)[None, :])
    return tl.where(there, p / tl.sum(p, axis=0)[None, :], 0)


@triton.jit
def _where_labeled(labels, count, sample, k, v, voxels):
    """Return where a tile's voxels have the class's label in a label map of the first ``count`` samples."""
    known = v < tl.where(sample < count, voxels, 0)
    label = tl.load(labels + sample.to(tl.int64) * voxels + v, mask=known, other=0)
    return (label[None, :] == k[:, None]) & known[None, :]


@triton.jit
def _sums(
    partial, logits, maps, counts, voxels, by_sample, by_class, by_voxel,
    classes: tl.constexpr, padded: tl.constexpr, width: tl.constexpr,
):  # fmt: skip
    tile, sample, n = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    k, v = tl.arange(0, padded), tile * width + tl.arange(0, width)
    p = _softmax(logits, sample, k, v, voxels, by_sample, by_class, by_voxel, classes)
    row = partial + (tile.to(tl.int64) * n + sample) * (1 + 2 * len(maps)) * classes + k
    tl.store(row, tl.sum(p, axis=1), mask=k < classes)
    for i in tl.static_range(len(maps)):
        mask = _where_labeled(maps[i], counts[i], sample, k, v, voxels)
        tl.store(row + (1 + 2 * i) * classes, tl.sum(tl.where(mask, p, 0), axis=1), mask=k < classes)
        tl.store(row + (2 + 2 * i) * classes, tl.sum(mask.to(tl.float32), axis=1), mask=k < classes)


@triton.jit
def _gradient(
    out, out_sample, out_class, out_voxel, logits, maps, counts, constants, by_map,
    voxels, by_sample, by_class, by_voxel,
    classes: tl.constexpr, padded: tl.constexpr, width: tl.constexpr,
):  # fmt: skip
    tile, sample = tl.program_id(0), tl.program_id(1)
    k, v = tl.arange(0, padded), tile * width + tl.arange(0, width)
    p = _softmax(logits, sample, k, v, voxels, by_sample, by_class, by_voxel, classes)
    row = constants + sample * classes + k
    by_p = tl.zeros((padded, width), tl.float32) + tl.load(row, mask=k < classes, other=0)[:, None]
    for i in tl.static_range(len(maps)):
        constant = tl.load(row + (1 + i) * by_map, mask=k < classes, other=0)
        by_p += tl.where(_where_labeled(maps[i], counts[i], sample, k, v, voxels), constant[:, None], 0)
    by_x = p * (by_p - tl.sum(p * by_p, axis=0)[None, :])
    places = out + sample.to(tl.int64) * out_sample + k[:, None] * out_class + v[None, :] * out_voxel
    tl.store(places, by_x.to(out.dtype.element_ty), mask=(k < classes)[:, None] & (v < voxels)[None, :])
