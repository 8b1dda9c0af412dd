"""Zoom, rotation and flips of one 2D sample, on one core, in compiled loops (numba).

With a third axis of length 1, the loops of ``fused_kernels`` would treat every pixel as lying at the border.
"""

import math

import numpy as np
from numpy.typing import NDArray

from semiseg.numba_jit import Loop, compiled

Pair = tuple[float, float]


def _compiled(loop: Loop) -> Loop:
    # As in fused_kernels.
    return compiled(loop, fastmath={"contract", "reassoc"})


@_compiled
def resample_image(
    source: NDArray[np.float32], matrix: NDArray[np.float64], offset: NDArray[np.float64], out: NDArray[np.float32]
) -> None:
    """Write to ``out`` (C, P, Q) the source (C, X, Y) at ``matrix @ pixel + offset``: bilinear, 0 beyond it."""
    channels, rows, columns = out.shape
    corner = np.empty(columns, np.uint32)
    share = np.empty((2, columns), np.float32)
    step = (matrix[0, 1], matrix[1, 1])
    for i in range(rows):
        start = (matrix[0, 0] * i + offset[0], matrix[1, 0] * i + offset[1])
        # Along a row, the pixels within the source are contiguous.
        first, last = 0, columns
        while first < last and not _inside(source, start, step, first):
            first += 1
        while last > first and not _inside(source, start, step, last - 1):
            last -= 1
        _locate(source, start, step, first, last, corner, share)
        for channel in range(channels):
            plane, row = source[channel], out[channel, i]
            for k in range(first):
                row[k] = _at_border(plane, start, step, k)
            _interpolate(plane, corner, share, first, last, row)
            for k in range(last, columns):
                row[k] = _at_border(plane, start, step, k)


@_compiled
def _inside(source: NDArray[np.float32], start: Pair, step: Pair, column: int) -> bool:
    """Return whether all four neighbors of a position are in the source."""
    px, py = start[0] + step[0] * column, start[1] + step[1] * column
    return bool(0 <= px < source.shape[1] - 1 and 0 <= py < source.shape[2] - 1)


@_compiled
def _locate(
    source: NDArray[np.float32],
    start: Pair,
    step: Pair,
    first: int,
    last: int,
    corner: NDArray[np.uint32],
    share: NDArray[np.float32],
) -> None:
    """Compute for each pixel of a part of a row the lowest of its four neighbors, and the fractional position."""
    width = np.int32(source.shape[2])
    # Rounding may put a position on the wrong side of the border, so the neighbors are limited to the source.
    largest_x, largest_y = np.int32(source.shape[1] - 2), np.int32(source.shape[2] - 2)
    for k in range(first, last):
        px, py = start[0] + step[0] * k, start[1] + step[1] * k
        x = min(max(np.int32(px), np.int32(0)), largest_x)
        y = min(max(np.int32(py), np.int32(0)), largest_y)
        share[0, k], share[1, k] = px - x, py - y
        corner[k] = np.uint32(x * width + y)


@_compiled
def _interpolate(
    source: NDArray[np.float32],
    corner: NDArray[np.uint32],
    share: NDArray[np.float32],
    first: int,
    last: int,
    row: NDArray[np.float32],
) -> None:
    flat = source.reshape(-1)
    # Unsigned indices avoid the check for negative ones.
    one, dx = np.uint32(1), np.uint32(source.shape[1])
    for k in range(first, last):
        a = corner[k]
        b = a + dx
        low = flat[a] + share[1, k] * (flat[a + one] - flat[a])
        high = flat[b] + share[1, k] * (flat[b + one] - flat[b])
        row[k] = low + share[0, k] * (high - low)


@_compiled
def _at_border(source: NDArray[np.float32], start: Pair, step: Pair, column: int) -> np.float32:
    """Return the value at a position with some of the four neighbors beyond the border, where the source is 0."""
    value = np.float32(0)
    px, py = start[0] + step[0] * column, start[1] + step[1] * column
    x, y = math.floor(px), math.floor(py)
    if not (-1 <= x < source.shape[0] and -1 <= y < source.shape[1]):
        return value
    for i in range(x, x + 2):
        for j in range(y, y + 2):
            if 0 <= i < source.shape[0] and 0 <= j < source.shape[1]:
                value += np.float32((1 - abs(px - i)) * (1 - abs(py - j))) * source[i, j]
    return value


@_compiled
def resample_label(
    source: NDArray[np.int64], matrix: NDArray[np.float64], offset: NDArray[np.float64], out: NDArray[np.int64]
) -> None:
    """Write to ``out`` (P, Q) the source's (X, Y) pixel nearest to ``matrix @ pixel + offset``; 0 beyond it."""
    flat = source.reshape(-1)
    width = source.shape[1]
    for i in range(out.shape[0]):
        px, py = matrix[0, 0] * i + offset[0], matrix[1, 0] * i + offset[1]
        for k in range(out.shape[1]):
            x, y = np.rint(px + matrix[0, 1] * k), np.rint(py + matrix[1, 1] * k)
            inside = (x >= 0) & (y >= 0) & (x < source.shape[0]) & (y < width)
            out[i, k] = flat[int(x) * width + int(y)] if inside else 0
