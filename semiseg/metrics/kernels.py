"""Surface distances in compiled loops (numba): borders of masks, and nearest points on a grid.

Flat indices are positions in an array in C order. Compiled code does not check bounds, so indices must lie within the
shape: ``semiseg.metrics.points`` checks this, and computes the same with scipy if numba is missing.
"""

from typing import Any

import numpy as np

from semiseg.numba_jit import compiled


@compiled
def _border_of_row(mask: Any, x: int, y: int, row: Any) -> None:
    """Mark the border voxels of mask[x, y]: those with a face neighbor outside the mask or the array."""
    nx, ny, nz = mask.shape
    if x == 0 or x == nx - 1 or y == 0 or y == ny - 1:
        for z in range(nz):
            row[z] = mask[x, y, z]
        return
    for z in range(nz):  # branch-free, so that it vectorizes
        row[z] = mask[x, y, z] & ~(mask[x - 1, y, z] & mask[x + 1, y, z] & mask[x, y - 1, z] & mask[x, y + 1, z])
    for z in range(1, nz - 1):
        row[z] |= mask[x, y, z] & ~(mask[x, y, z - 1] & mask[x, y, z + 1])
    row[0], row[nz - 1] = mask[x, y, 0], mask[x, y, nz - 1]


@compiled
def border_points(mask: Any) -> Any:
    """Return flat indices (int64, ascending) of the border voxels of a mask (X, Y, Z) uint8 of 0 and 1, in C order."""
    nx, ny, nz = mask.shape
    row = np.zeros(nz, dtype=np.uint8)
    count = 0
    for x in range(nx):
        for y in range(ny):
            _border_of_row(mask, x, y, row)
            for z in range(nz):
                count += row[z]
    points = np.empty(count, dtype=np.int64)
    i = 0
    for x in range(nx):
        for y in range(ny):
            _border_of_row(mask, x, y, row)
            for z in range(nz):
                if row[z]:
                    points[i] = (x * ny + y) * nz + z
                    i += 1
    return points


@compiled
def search_shells(
    start: Any, target: Any, shape: Any, offsets: Any, lengths: Any, first: int, budget: int, distances: Any
) -> int:
    """Fill in the distances of points with a target among the offsets, ascending in length; -1 marks the others.

    Returns the number of marked points. ``start`` and ``target`` are flat indices within ``shape``; ``offsets`` (n, 3).
    The ``first`` offsets are tried for every point, the others only if that takes at most ``budget`` lookups in total.
    Targets are bits of a volume with a margin as wide as the largest offset: no offset can leave it.
    """
    mx, my, mz = np.abs(offsets[:, 0]).max(), np.abs(offsets[:, 1]).max(), np.abs(offsets[:, 2]).max()
    ny, nz = shape[1], shape[2]
    wy, wz = ny + 2 * my, nz + 2 * mz
    bits = np.zeros((((shape[0] + 2 * mx) * wy * wz) >> 6) + 1, dtype=np.uint64)
    one = np.uint64(1)
    for i in range(target.size):
        x, rest = divmod(target[i], ny * nz)
        at = ((x + mx) * wy + rest // nz + my) * wz + rest % nz + mz
        bits[at >> 6] |= one << np.uint64(at & 63)
    steps = (offsets[:, 0] * wy + offsets[:, 1]) * wz + offsets[:, 2]
    distances[:] = -1.0
    missing = start.size
    low, high = 0, min(first, steps.size)
    while low < high and missing * (high - low) <= max(budget, start.size * first):
        for i in range(start.size):
            if distances[i] >= 0:
                continue
            x, rest = divmod(start[i], ny * nz)
            at = ((x + mx) * wy + rest // nz + my) * wz + rest % nz + mz
            for k in range(low, high):
                to = at + steps[k]
                if bits[to >> 6] >> np.uint64(to & 63) & one:
                    distances[i] = lengths[k]
                    missing -= 1
                    break
        low, high = high, steps.size
    return int(missing)


@compiled
def compare_all(start: Any, target: Any, shape: Any, spacing: Any, distances: Any) -> None:
    """Fill in the distances marked -1 by comparison with every target; meant for few points."""
    ny, nz = shape[1], shape[2]
    places = np.empty((target.size, 3))
    for j in range(target.size):
        x, rest = divmod(target[j], ny * nz)
        places[j] = (x * spacing[0], rest // nz * spacing[1], rest % nz * spacing[2])
    for i in range(start.size):
        if distances[i] >= 0:
            continue
        x, rest = divmod(start[i], ny * nz)
        px, py, pz = x * spacing[0], rest // nz * spacing[1], rest % nz * spacing[2]
        best = np.inf
        for j in range(target.size):
            best = min(best, (places[j, 0] - px) ** 2 + (places[j, 1] - py) ** 2 + (places[j, 2] - pz) ** 2)
        distances[i] = np.sqrt(best)


@compiled
def steps_along_x(target: Any, steps: Any) -> None:
    """Fill ``steps`` (X, Y, Z), unsigned and full of its maximum, with the distance along x to the nearest target."""
    nx = steps.shape[0]
    flat = steps.reshape(nx, -1)
    far = flat.shape[1]
    for i in range(target.size):
        flat[target[i] // far, target[i] % far] = 0
    largest = np.iinfo(flat.dtype).max
    for x in range(1, nx):
        for k in range(far):
            flat[x, k] = min(flat[x, k], flat[x - 1, k] + (flat[x - 1, k] < largest))
    for x in range(nx - 2, -1, -1):
        for k in range(far):
            flat[x, k] = min(flat[x, k], flat[x + 1, k] + (flat[x + 1, k] < largest))


@compiled
def _envelope(heights: Any, halves: Any, tips: Any, ends: Any) -> int:
    """Compute the lower envelope of the parabolas heights[i] + (size (x - i))²: its members, and where each ends.

    ``halves[i]`` is 1 / (2 size² i). Returns their number; heights may be infinite. P. F. Felzenszwalb and D. P.
    Huttenlocher, "Distance transforms of sampled functions", Theory of Computing 8, 2012.
    """
    n = 0
    for i in range(heights.size):
        if heights[i] == np.inf:
            continue
        while n:
            j = tips[n - 1]
            cross = 0.5 * (i + j) + (heights[i] - heights[j]) * halves[i - j]
            if n > 1 and cross <= ends[n - 2]:
                n -= 1
                continue
            ends[n - 1] = cross
            break
        tips[n] = i
        ends[n] = np.inf
        n += 1
    return n


@compiled
def search_slices(start: Any, steps: Any, spacing: Any, distances: Any) -> None:
    """Fill in the distances marked -1 from ``steps_along_x``, one slice of the distance transform at a time.

    Slices without a marked point are skipped, and only one slice is held in memory.
    """
    _, ny, nz = steps.shape
    largest = np.iinfo(steps.dtype).max
    squares = np.empty((nz, ny))
    plane = np.empty((ny, nz))
    tips, ends = np.empty(max(ny, nz), dtype=np.int64), np.empty(max(ny, nz))
    halves_y = 1 / (2 * spacing[1] ** 2 * np.arange(ny))  # divisions dominate the cost of an envelope
    halves_z = 1 / (2 * spacing[2] ** 2 * np.arange(nz))
    slice_there, row_there = -1, -1
    n = k = 0
    for i in range(start.size):
        if distances[i] >= 0:
            continue
        x, rest = divmod(start[i], ny * nz)
        y, z = divmod(rest, nz)
        if x != slice_there:
            for v in range(ny):
                for w in range(nz):
                    count = steps[x, v, w]
                    squares[w, v] = np.inf if count == largest else (count * spacing[0]) ** 2
            for w in range(nz):
                n = _envelope(squares[w], halves_y, tips, ends)
                k = 0
                for v in range(ny):
                    if n == 0:
                        plane[v, w] = np.inf
                        continue
                    while ends[k] < v:
                        k += 1
                    plane[v, w] = squares[w, tips[k]] + (spacing[1] * (v - tips[k])) ** 2
            slice_there, row_there = x, -1
        if y != row_there:
            n = _envelope(plane[y], halves_z, tips, ends)
            row_there, k = y, 0
        while ends[k] < z:
            k += 1
        distances[i] = np.sqrt(plane[y, tips[k]] + (spacing[2] * (z - tips[k])) ** 2)
