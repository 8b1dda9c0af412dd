"""Reorientation of axes to right, anterior, superior and back, by permutations and flips that change no voxel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.types import Geometry


def to_ras(array: NDArray[Any], geometry: Geometry) -> tuple[NDArray[Any], Geometry]:
    """Return an array with its last three axes X, Y, Z in the order and direction nearest to R, A, S, and its grid.

    The result is a view; leading axes (channels) stay. World coordinates of voxels do not change.
    """
    from nibabel.orientations import inv_ornt_aff

    axes, flips = _orientation(geometry)
    turned = _spatial_transpose(_flip(array, flips), np.argsort(axes))
    x, y, z = turned.shape[-3:]
    inverse = inv_ornt_aff(np.stack([axes, flips], axis=1), geometry.shape)
    return turned, Geometry((x, y, z), geometry.affine @ inverse, geometry.unit)


def grid_in_ras(geometry: Geometry) -> Geometry:
    """Return only the grid that ``to_ras`` gives: its shape and spacing along R, A and S."""
    return to_ras(np.broadcast_to(np.uint8(0), geometry.shape), geometry)[1]


def from_ras(array: NDArray[Any], original: Geometry) -> NDArray[Any]:
    """Invert ``to_ras`` for an array on the reoriented grid: return a view with the axes of ``original``."""
    axes, flips = _orientation(original)
    return _flip(_spatial_transpose(array, axes), flips)


def _orientation(geometry: Geometry) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return for each array axis the nearest world axis and its direction (1 or -1)."""
    from nibabel.orientations import io_orientation

    orientation = io_orientation(geometry.affine).astype(np.intp)
    return orientation[:, 0], orientation[:, 1]


def _spatial_transpose(array: NDArray[Any], order: NDArray[np.intp]) -> NDArray[Any]:
    leading = array.ndim - 3
    return array.transpose([*range(leading), *(leading + int(axis) for axis in order)])


def _flip(array: NDArray[Any], flips: NDArray[np.intp]) -> NDArray[Any]:
    return np.flip(array, tuple(int(axis) - 3 for axis in np.flatnonzero(flips < 0)))
