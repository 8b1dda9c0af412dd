"""Surfaces of masks and the distances between them, as plain functions of arrays."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]
Spacing = tuple[float, float, float]

_QUERY_COST = 8
"""What one search in a tree costs, in voxels of a distance transform (measured on BraTS cases: 6 to 12)."""


def border(mask: Mask) -> Mask:
    """The border voxels of a mask (X, Y, Z): those with at least one of their six face neighbors outside of it.

    What lies beyond the array counts as outside, so voxels at its edge are border voxels. The border is therefore
    the same for any array that holds the whole mask, be it the image or the tightest box.
    """
    # The margin makes every neighbor a fixed step in memory, which is 5 to 20 times faster than a binary erosion.
    padded = np.pad(mask, 1)
    flat = np.ascontiguousarray(padded).ravel()
    inner = flat.copy()
    for step in (1, padded.shape[2], padded.shape[1] * padded.shape[2]):
        inner[step:] &= flat[:-step]
        inner[:-step] &= flat[step:]
    return mask & ~inner.reshape(padded.shape)[1:-1, 1:-1, 1:-1]


def directed_distances(reference: Mask, prediction: Mask, spacing: Spacing) -> tuple[Distances, Distances]:
    """From each border voxel of one mask, the Euclidean distance to the nearest border voxel of the other.

    Returns the distances from the reference's border and those from the prediction's, float64, in the unit of
    ``spacing`` (voxel size along each axis). The masks (X, Y, Z) have one shape. Raises ValueError where a mask has
    no voxels: there is no distance to nothing.
    """
    if not (reference.any() and prediction.any()):
        raise ValueError("a surface distance needs voxels in both masks")
    edges = border(reference), border(prediction)
    return _nearest(edges[0], edges[1], spacing), _nearest(edges[1], edges[0], spacing)


def _nearest(start: Mask, target: Mask, spacing: Spacing) -> Distances:
    # Both ways are exact. Few voxels search a tree; where they fill the box (a prediction that is wrong all over the
    # head, as early in training) the distance transform of the box is up to 3 times faster.
    apart = start & ~target
    if _QUERY_COST * np.count_nonzero(apart) > target.size:
        distances: Distances = distance_transform_edt(~target, sampling=spacing)[start]
        return distances
    # Voxels on both borders are at distance 0 and need no search. Grid points have so many ties that a balanced tree
    # costs more to build than it saves.
    tree = KDTree(_points(target, spacing), leafsize=32, compact_nodes=False, balanced_tree=False)
    distances = np.zeros(np.count_nonzero(start))
    distances[apart[start]] = tree.query(_points(apart, spacing))[0]
    return distances


def _points(mask: Mask, spacing: Spacing) -> NDArray[np.float64]:
    """The voxels of a mask (N, 3) in the unit of ``spacing``."""
    places = np.unravel_index(np.flatnonzero(mask), mask.shape)  # many times faster than argwhere
    return np.stack([place * size for place, size in zip(places, spacing, strict=True)], axis=1)
