"""Slices of volumes, for training in two dimensions: the slice axis of a case, and a patch as a box of its volume."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from semiseg.io.orientation import grid_in_ras
from semiseg.recipe.schema import SliceAxis
from semiseg.types import Geometry, Shape

AXES: tuple[SliceAxis, ...] = ("right", "anterior", "superior")
_SAME = 1.01
"""Ratio of voxel sizes up to which they count as equal: headers are rounded."""
Value = TypeVar("Value", bound=np.generic)


def slice_axis(geometry: Geometry, wanted: SliceAxis = "auto") -> int:
    """Return the axis (R, A or S: 0, 1 or 2) across which a volume is sliced.

    ``auto`` is the axis with a single voxel if there is one; otherwise that with the largest spacing, and superior if
    several have it (axial slices). A 2D image is one slice across the last axis.
    """
    if geometry.unit == "pixel":
        return 2
    grid = grid_in_ras(geometry)
    return axis_of_slices(grid.shape, grid.spacing, wanted)


def axis_of_slices(shape: Shape, spacing: Sequence[float], wanted: SliceAxis = "auto") -> int:
    """Return ``slice_axis`` of a volume whose shape and voxel size are known along R, A and S."""
    if wanted != "auto":
        return AXES.index(wanted)
    if shape.count(1) == 1:
        return shape.index(1)
    return max(axis for axis, size in enumerate(spacing) if size * _SAME >= max(spacing))


def box_of(patch: Shape, axis: int) -> Shape:
    """Return the box of a volume that a patch covers: a patch with two sides is one voxel thick along ``axis``."""
    return patch if len(patch) == 3 else (*patch[:axis], 1, *patch[axis:])


def plane_of(box: NDArray[Value], patch: Shape, axis: int) -> NDArray[Value]:
    """Return an array of a patch's box, (..., x, y, z), without the axis that the patch lacks."""
    return box if len(patch) == 3 else box.squeeze(axis - 3)
