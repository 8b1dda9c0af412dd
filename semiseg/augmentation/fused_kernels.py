"""Changes applied to one sample, on one core, in compiled loops (numba).

The first call on a machine compiles them (some seconds); later processes load the compiled code.
"""

import math

import numpy as np
from numpy.typing import NDArray

from semiseg.numba_jit import Loop, compiled

Point = tuple[float, float, float]


def _compiled(loop: Loop) -> Loop:
    # Sums may be reordered for speed; infinities and signed zeros keep their meaning.
    return compiled(loop, fastmath={"contract", "reassoc"})


@_compiled
def resample_image(
    source: NDArray[np.float32], matrix: NDArray[np.float64], offset: NDArray[np.float64], out: NDArray[np.float32]
) -> None:
    """Write to ``out`` (C, P, Q, R) the source (C, X, Y, Z) at ``matrix @ voxel + offset``: trilinear, 0 beyond it.

    The result is that of ``grid_sample``, with coordinates in double precision.
    """
    channels, planes, rows, columns = out.shape
    corner = np.empty(columns, np.int64)
    share = np.empty((3, columns), np.float32)
    # One channel after the other, in strips, so that the data needed again for the next plane is still in the cache.
    for channel in range(channels):
        for strip in range(0, rows, _STRIP):
            for i in range(planes):
                for j in range(strip, min(strip + _STRIP, rows)):
                    start = _place(matrix, offset, i, j)
                    _fill_row(source[channel], start, matrix[:, 2], corner, share, out[channel, i, j])


_STRIP = 32


@_compiled
def _fill_row(
    source: NDArray[np.float32],
    start: Point,
    step: NDArray[np.float64],
    corner: NDArray[np.int64],
    share: NDArray[np.float32],
    row: NDArray[np.float32],
) -> None:
    _locate(start, step, source.shape, corner, share)
    # Along a row, the voxels within the source are contiguous.
    first, last = 0, len(row)
    while first < last and corner[first] < 0:
        first += 1
    while last > first and corner[last - 1] < 0:
        last -= 1
    for k in range(first):
        row[k] = _at_border(source, start, step, k)
    _interpolate(source, corner, share, first, last, row)
    for k in range(last, len(row)):
        row[k] = _at_border(source, start, step, k)


@_compiled
def _place(matrix: NDArray[np.float64], offset: NDArray[np.float64], i: int, j: int) -> Point:
    """Return the source position of the first voxel of a row."""
    return (
        matrix[0, 0] * i + matrix[0, 1] * j + offset[0],
        matrix[1, 0] * i + matrix[1, 1] * j + offset[1],
        matrix[2, 0] * i + matrix[2, 1] * j + offset[2],
    )


@_compiled
def _locate(
    start: Point,
    step: NDArray[np.float64],
    shape: tuple[int, int, int],
    corner: NDArray[np.int64],
    share: NDArray[np.float32],
) -> None:
    """Compute for each voxel of a row the lowest of its eight neighbors, or -1, and the fractional position."""
    for k in range(len(corner)):
        px, py, pz = start[0] + step[0] * k, start[1] + step[1] * k, start[2] + step[2] * k
        x, y, z = math.floor(px), math.floor(py), math.floor(pz)
        share[0, k], share[1, k], share[2, k] = px - x, py - y, pz - z
        low = (x >= 0) & (y >= 0) & (z >= 0)
        inside = low & (x < shape[0] - 1) & (y < shape[1] - 1) & (z < shape[2] - 1)
        corner[k] = (x * shape[1] + y) * shape[2] + z if inside else -1


@_compiled
def _interpolate(
    source: NDArray[np.float32],
    corner: NDArray[np.int64],
    share: NDArray[np.float32],
    first: int,
    last: int,
    row: NDArray[np.float32],
) -> None:
    flat = source.reshape(-1)
    # Unsigned indices avoid the check for negative ones.
    one, dx, dy = np.uint64(1), np.uint64(source.shape[1] * source.shape[2]), np.uint64(source.shape[2])
    for k in range(first, last):
        a = np.uint64(corner[k])
        b, c, d = a + dy, a + dx, a + dx + dy
        x1, y1, z1 = share[0, k], share[1, k], share[2, k]
        x0, y0, z0 = np.float32(1) - x1, np.float32(1) - y1, np.float32(1) - z1
        low = y0 * (z0 * flat[a] + z1 * flat[a + one]) + y1 * (z0 * flat[b] + z1 * flat[b + one])
        high = y0 * (z0 * flat[c] + z1 * flat[c + one]) + y1 * (z0 * flat[d] + z1 * flat[d + one])
        row[k] = x0 * low + x1 * high


@_compiled
def _at_border(source: NDArray[np.float32], start: Point, step: NDArray[np.float64], column: int) -> np.float32:
    """Return the value at a position with some of the eight neighbors beyond the border, where the source is 0."""
    value = np.float32(0)
    px, py, pz = start[0] + step[0] * column, start[1] + step[1] * column, start[2] + step[2] * column
    x, y, z = math.floor(px), math.floor(py), math.floor(pz)
    for i in range(x, x + 2):
        for j in range(y, y + 2):
            for k in range(z, z + 2):
                if 0 <= i < source.shape[0] and 0 <= j < source.shape[1] and 0 <= k < source.shape[2]:
                    weight = (1 - abs(px - i)) * (1 - abs(py - j)) * (1 - abs(pz - k))
                    value += np.float32(weight) * source[i, j, k]
    return value


@_compiled
def resample_label(
    source: NDArray[np.int64], matrix: NDArray[np.float64], offset: NDArray[np.float64], out: NDArray[np.int64]
) -> None:
    """Write to ``out`` (P, Q, R) the source's (X, Y, Z) voxel nearest to ``matrix @ voxel + offset``; 0 beyond it."""
    planes, rows, columns = out.shape
    flat = source.reshape(-1)
    nearest = np.empty(columns, np.int64)
    for i in range(planes):
        for j in range(rows):
            _locate_nearest(_place(matrix, offset, i, j), matrix[:, 2], source.shape, nearest)
            for k in range(columns):
                out[i, j, k] = flat[nearest[k]] if nearest[k] >= 0 else 0


@_compiled
def _locate_nearest(
    start: Point, step: NDArray[np.float64], shape: tuple[int, int, int], nearest: NDArray[np.int64]
) -> None:
    """Compute for each voxel of a row the nearest source voxel, or -1 beyond the border."""
    for k in range(len(nearest)):
        x, y, z = np.rint(start[0] + step[0] * k), np.rint(start[1] + step[1] * k), np.rint(start[2] + step[2] * k)
        inside = (x >= 0) & (y >= 0) & (z >= 0) & (x < shape[0]) & (y < shape[1]) & (z < shape[2])
        nearest[k] = (int(x) * shape[1] + int(y)) * shape[2] + int(z) if inside else -1


_BLOCK = 1024
"""Number of voxels whose intermediate results are kept at a time, in the fastest cache."""


@_compiled
def change_intensities(
    channel: NDArray[np.float32], table: NDArray[np.float32], shift: float, factor: float, keep_zero: bool
) -> None:
    """Apply a curve in place to a channel (N,): table (empty for none), shift in standard deviations, factor.

    ``keep_zero``: voxels of exactly 0 stay 0, and are excluded from the range and the deviation.
    """
    # NaN equals nothing: then no voxel is background.
    background = np.float32(0 if keep_zero else np.nan)
    low, high, deviation = _statistics(channel, background)
    added = shift * deviation
    if len(table) and high > low:
        per_unit = np.float32((len(table) - 1) / (high - low))
        stretch, start = np.float32((high - low) * factor), np.float32((low + added) * factor)
        index, share = np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.float32)
        for first in range(0, len(channel), _BLOCK):
            block = channel[first : first + _BLOCK]
            _find_intervals(block, low, per_unit, len(table) - 1, index, share)
            _look_up(block, table, index, share, background, stretch, start)
    else:
        for i in range(len(channel)):
            if channel[i] != background:
                channel[i] = (channel[i] + added) * factor


@_compiled
def bend_table(table: NDArray[np.float32], heights: NDArray[np.float32]) -> None:
    """Map values in [0, 1] in place, as ``intensity.piecewise_linear`` does."""
    pieces = np.int32(len(heights) - 1)
    for k in range(len(table)):
        place = table[k] * np.float32(pieces)
        i = min(np.int32(place), pieces - np.int32(1))
        table[k] = heights[i] + (place - np.float32(i)) * (heights[i + 1] - heights[i])


@_compiled
def _find_intervals(
    block: NDArray[np.float32],
    low: np.float32,
    per_unit: np.float32,
    intervals: int,
    index: NDArray[np.uint32],
    share: NDArray[np.float32],
) -> None:
    for k in range(len(block)):
        place = (block[k] - low) * per_unit
        interval = min(max(np.int32(place), np.int32(0)), np.int32(intervals - 1))
        index[k] = interval
        share[k] = place - np.float32(interval)


@_compiled
def _look_up(
    block: NDArray[np.float32],
    table: NDArray[np.float32],
    index: NDArray[np.uint32],
    share: NDArray[np.float32],
    background: np.float32,
    stretch: np.float32,
    start: np.float32,
) -> None:
    for k in range(len(block)):
        if block[k] != background:
            below, above = table[index[k]], table[index[k] + np.uint32(1)]
            block[k] = (below + share[k] * (above - below)) * stretch + start


@_compiled
def _statistics(channel: NDArray[np.float32], background: np.float32) -> tuple[np.float32, np.float32, float]:
    """Return minimum, maximum and standard deviation without the background.

    Only loops over indices become vector instructions, which are ten times faster.
    """
    lows, highs = np.full(_BLOCK, np.inf, np.float32), np.full(_BLOCK, -np.inf, np.float32)
    count, total, squares = 0, 0.0, 0.0
    for first in range(0, len(channel), _BLOCK):
        block = channel[first : first + _BLOCK]
        for k in range(len(block)):
            lows[k] = min(lows[k], block[k] if block[k] != background else np.float32(np.inf))
            highs[k] = max(highs[k], block[k] if block[k] != background else np.float32(-np.inf))
        n, block_total, block_squares = _sums(block, background)
        count, total, squares = count + n, total + block_total, squares + block_squares
    mean = total / max(count, 1)
    return lows.min(), highs.max(), math.sqrt(max(squares / max(count, 1) - mean * mean, 0.0))


@_compiled
def _sums(block: NDArray[np.float32], background: np.float32) -> tuple[int, float, float]:
    """Return the number of values that are not background, and their sum and sum of squares (background adds 0)."""
    count, total, squares = 0, np.float32(0), np.float32(0)
    for k in range(len(block)):
        count += block[k] != background
        total += block[k]
        squares += block[k] * block[k]
    return count, float(total), float(squares)
