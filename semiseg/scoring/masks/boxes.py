"""Bounding boxes of the classes in a label, found in one pass over the voxels."""

from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.numba_jit import compiled_loops

Box = tuple[slice, ...]


def class_boxes(labels: NDArray[np.uint8], n_classes: int) -> list[Box | None]:
    """Return the tightest box around each foreground class of a label (X, Y, Z) uint8 in C order; None without voxels.

    Raises ValueError if a voxel is not below ``n_classes``: compiled code checks no bounds.
    """
    if labels.size and int(labels.max()) >= n_classes:
        raise ValueError(f"class index {labels.max()} of {n_classes} classes")
    loops = _kernels()
    if loops is None:
        return _by_scipy(labels, n_classes)
    bounds = loops.class_bounds(labels, n_classes)
    return [tuple(slice(int(low), int(high)) for low, high in bound) if bound[0, 1] else None for bound in bounds[1:]]


def union(boxes: Iterable[Box | None]) -> Box:
    """Return the tightest box around all given boxes; an empty one if there are none."""
    there = [box for box in boxes if box is not None]
    if not there:
        return (slice(0, 0),) * 3
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*there, strict=True))


def _kernels() -> ModuleType | None:
    return compiled_loops("semiseg.scoring.masks.kernels")


def _by_scipy(labels: NDArray[np.uint8], n_classes: int) -> list[Box | None]:
    from scipy.ndimage import find_objects

    # Most of an image is background, which is skipped much faster without searching for classes.
    box = _foreground(labels)
    found: Sequence[Any] = find_objects(labels[box], n_classes - 1)
    return [
        one and tuple(slice(s.start + b.start, s.stop + b.start) for s, b in zip(one, box, strict=True))
        for one in found
    ]


def _foreground(labels: NDArray[np.uint8]) -> Box:
    box: list[slice] = []
    for axis in range(labels.ndim):
        rest = tuple(other for other in range(labels.ndim) if other != axis)
        there = np.flatnonzero(labels[tuple(box)].any(axis=rest))
        box.append(slice(int(there[0]), int(there[-1]) + 1) if there.size else slice(0, 0))
    return tuple(box)
