"""Surfaces of masks and the distances between them, as plain functions of arrays."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]


def border(mask: Mask) -> Mask:
    """The border voxels of a mask: those with at least one of their face neighbors (6 in 3D) outside of it.

    What lies beyond the array counts as outside, so voxels at its edge are border voxels. The border is therefore
    the same for any array that holds the whole mask, be it the image or the tightest box.
    """
    inner: Mask = binary_erosion(mask)
    return mask & ~inner


def directed_distances(
    reference: Mask, prediction: Mask, spacing: tuple[float, float, float]
) -> tuple[Distances, Distances]:
    """From each border voxel of one mask, the Euclidean distance to the nearest border voxel of the other.

    Returns the distances from the reference's border and those from the prediction's, float64, in the unit of
    ``spacing`` (voxel size along each axis). The masks (X, Y, Z) have one shape. Raises ValueError where a mask has
    no voxels: there is no distance to nothing.
    """
    if not (reference.any() and prediction.any()):
        raise ValueError("a surface distance needs voxels in both masks")
    edges = border(reference), border(prediction)
    scale = np.array(spacing, dtype=np.float64)
    points = np.argwhere(edges[0]) * scale, np.argwhere(edges[1]) * scale
    return _nearest(*edges, *points), _nearest(*edges[::-1], *points[::-1])


def _nearest(start: Mask, target: Mask, start_points: Distances, target_points: Distances) -> Distances:
    # Voxels on both borders are at distance 0 and need no search. Grid points have so many ties that a balanced tree
    # costs more to build than it saves: measured on BraTS cases, this one takes 0.4 to 0.9 of the default's time.
    apart = ~target[start]
    distances = np.zeros(len(start_points))
    if apart.any():
        tree = KDTree(target_points, leafsize=32, compact_nodes=False, balanced_tree=False)
        distances[apart] = tree.query(start_points[apart])[0]
    return distances
