"""Boxes of an image: where a patch lies, and how it is read, with background where it leaves the image."""

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from semiseg.data.stored import StoredImage, StoredLabeled, StoredPseudo
from semiseg.types import Shape

Value = TypeVar("Value", bound=np.generic)
Slices = tuple[slice, ...]


def random_start(shape: Shape, size: Shape) -> Shape:
    """Where a patch begins, uniform over all places within the image; from torch's default generator.

    Along an axis where the image is smaller than the patch, the image is centered in it, and the start negative.
    """
    x, y, z = (
        int(torch.randint(n - p + 1, ())) if n > p else center_start(n, p) for n, p in zip(shape, size, strict=True)
    )
    return x, y, z


def center_start(extent: int, size: int) -> int:
    """Where ``size`` voxels begin that lie centered on ``extent`` voxels; negative where they are more."""
    return (extent - size) // 2


def around(start: Shape, size: Shape, larger: Shape) -> Shape:
    """Where a larger box begins that is centered on a patch."""
    x, y, z = (begin + center_start(p, n) for begin, p, n in zip(start, size, larger, strict=True))
    return x, y, z


def read_patch(stored: StoredImage, start: Shape, size: Shape) -> NDArray[np.float32]:
    """A box of the normalized image, (C, *size) float32; 0 where it leaves the image. Only the box is read."""
    source, target = _overlap(stored.shape, start, size)
    patch = np.zeros((stored.channels, *size), np.float32)
    stored.preparation.normalize(stored.raw()[(slice(None), *source)], out=patch[(slice(None), *target)])
    return patch


def read_label_patch(stored: StoredLabeled, start: Shape, size: Shape) -> NDArray[np.uint8]:
    """The same box of the label, (*size) class indices; 0 (background) where it leaves the image."""
    x, y, z = (begin - own for begin, own in zip(start, stored.label_start, strict=True))
    return _cut(stored.raw_label(), (x, y, z), size)


def read_pseudo_patch(stored: StoredPseudo, start: Shape, size: Shape) -> NDArray[np.uint8]:
    """The same box of the pseudo-label, (*size) class indices; 0 (background) where it leaves the image."""
    return _cut(stored.raw_pseudo(), start, size)


def center_patch(array: NDArray[Value], size: Shape) -> NDArray[Value]:
    """The box of ``size`` voxels in the middle of the last three axes, with 0 where it leaves the array."""
    x, y, z = (center_start(n, p) for n, p in zip(array.shape[-3:], size, strict=True))
    return _cut(array, (x, y, z), size)


def _cut(array: NDArray[Value], start: Shape, size: Shape) -> NDArray[Value]:
    source, target = _overlap(array.shape[-3:], start, size)
    leading = (slice(None),) * (array.ndim - 3)
    cut: NDArray[Value] = np.zeros((*array.shape[:-3], *size), array.dtype)
    cut[(*leading, *target)] = array[(*leading, *source)]
    return cut


def _overlap(shape: tuple[int, ...], start: Shape, size: Shape) -> tuple[Slices, Slices]:
    """The part of a box that is in the image: in the image's voxels, and in the box's."""
    first = [min(max(begin, 0), n) for begin, n in zip(start, shape, strict=True)]
    last = [max(min(begin + p, n), f) for begin, p, n, f in zip(start, size, shape, first, strict=True)]
    source = tuple(slice(f, e) for f, e in zip(first, last, strict=True))
    target = tuple(slice(f - b, e - b) for f, e, b in zip(first, last, start, strict=True))
    return source, target
