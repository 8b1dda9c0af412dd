"""Resampling of images and labels to another voxel size.

The rules of nnU-Net 2 (``default_resampling.py``; Isensee et al. 2021, doi:10.1038/s41592-020-01008-z): cubic splines
for images; where voxels are more than three times as long along one axis as along another, each slice across that axis
is resampled in its plane, and the nearest slice is taken along it.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.types import IGNORED, Shape

ANISOTROPIC = 3.0
"""Ratio of the longest to the shortest side of a voxel above which the longest axis is resampled apart."""
Interpolation = Literal["spline", "linear"]
_HALF = 0.5
LABEL_RULE = 2
"""Increase this whenever ``resample_label`` gives other labels, so that stored ones are no longer used."""


def resampled_shape(shape: Shape, spacing: Sequence[float], target: Sequence[float]) -> Shape:
    """Return the number of voxels along each axis after resampling; at least 1."""
    return tuple(max(round(n * own / new), 1) for n, own, new in zip(shape, spacing, target, strict=True))


def axis_apart(spacing: Sequence[float], target: Sequence[float]) -> int | None:
    """Return the axis that is resampled apart from the others; None if there is none.

    It is the longest axis of anisotropic voxels, those of the image or, if they are not, those of the target.
    """
    for sizes in (spacing, target):
        longest = [axis for axis, size in enumerate(sizes) if size == max(sizes)]
        if max(sizes) > ANISOTROPIC * min(sizes):
            return longest[0] if len(longest) == 1 else None
    return None


def resample_channel(
    channel: NDArray[np.float32], grid: Shape, apart: int | None, interpolation: Interpolation = "spline"
) -> NDArray[np.float32]:
    """Resample one channel (x, y, z) to ``grid``, within its range of values, or that of a slice resampled apart.

    Voxel centers correspond as if both grids covered the same extent; beyond the outermost centers the edge is
    repeated. Equals scikit-image's ``resize(mode="edge", anti_aliasing=False)``, which nnU-Net uses.

    Args:
        channel: the values.
        grid: the new shape.
        apart: the axis along which the nearest slice is taken; None to interpolate along all.
        interpolation: "spline" (cubic) or "linear".
    """
    if channel.shape == grid:
        return channel
    order: Literal[1, 3] = 3 if interpolation == "spline" else 1
    if apart is None:
        found = _zoom(channel, grid, order)
    else:
        plane = (*grid[:apart], *grid[apart + 1 :])
        slices = np.moveaxis(channel, apart, 0)
        nearest = nearest_index(len(slices), grid[apart])
        resampled = {index: _zoom(slices[index], plane, order) for index in np.unique(nearest)}  # each slice once
        found = np.moveaxis(np.stack([resampled[index] for index in nearest]), 0, apart)
    return np.ascontiguousarray(found)


def resample_mask(mask: NDArray[np.bool_], grid: Shape, apart: int | None) -> NDArray[np.bool_]:
    """Resample a mask (x, y, z): voxels of which at least half, by linear interpolation, lies within it."""
    if mask.shape == grid or mask.all() or not mask.any():
        return np.full(grid, mask.flat[0]) if mask.shape != grid else mask
    return resample_channel(mask.astype(np.float32), grid, apart, "linear") >= _HALF


def resample_label(label: NDArray[np.uint8], grid: Shape, apart: int | None) -> NDArray[np.uint8]:
    """Resample class indices or IGNORED (x, y, z) to ``grid``; no value is added.

    Each voxel gets the class with the largest share, by linear interpolation of the classes' masks. Of equal shares,
    which all boundaries have where a side is halved, that of the nearest voxel wins, else the lower class: if the lower
    one always won, structures would lose volume to the background. This is nnU-Net 2's rule with batchgenerators 0.25.4
    or later; earlier, a class needed a share of at least a half, which left holes of background where several meet.
    """
    if label.shape == grid:
        return label
    best = np.zeros(grid, np.float32)
    of_nearest = np.zeros(grid, np.float32)
    found = np.zeros(grid, np.uint8)
    nearest = label[np.ix_(*(nearest_index(n, wanted) for n, wanted in zip(label.shape, grid, strict=True)))]
    values = [int(value) for value in np.unique(label)]
    for value in sorted(values, key=lambda value: (value == IGNORED, value)):
        share = resample_channel((label == value).astype(np.float32), grid, apart, "linear")
        larger = share > best
        found[larger] = value
        best[larger] = share[larger]
        np.copyto(of_nearest, share, where=nearest == value)
    np.copyto(found, nearest, where=of_nearest == best)
    return found


def nearest_index(count: int, wanted: int) -> NDArray[np.int64]:
    """Return for each of ``wanted`` slices the index of the nearest of ``count`` slices over the same extent."""
    return (2 * np.arange(wanted) + 1) * count // (2 * wanted)


def _zoom(array: NDArray[np.float32], shape: Shape, order: Literal[1, 3]) -> NDArray[np.float32]:
    from scipy.ndimage import zoom

    if array.shape == tuple(shape):
        return array
    factors = [new / old for new, old in zip(shape, array.shape, strict=True)]
    found: NDArray[np.float32] = zoom(array, factors, order=order, mode="nearest", grid_mode=True)
    return np.clip(found, array.min(), array.max(), out=found)  # splines overshoot at edges
