"""The slices of a case that are worth drawing first: uncertain ones that are apart from each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semiseg.io.orientation import to_ras
from semiseg.suggestion.measuring import position_text
from semiseg.types import Geometry

NAMES = ("sagittal", "coronal", "axial")
"""Names of slices across R, A and S."""


@dataclass(frozen=True, slots=True)
class Slices:
    """Slices across one axis of a case.

    Attributes:
        axis: the axis (R, A or S: 0, 1 or 2) that they lie across.
        chosen: their indices on the grid in R, A, S, the most uncertain first.
        numbers: their indices along the file's own axis, from 0.
        file_axis: that axis of the file, from 0.
        count: number of slices of the volume.
        places: their places in mm, as in 3D Slicer; empty texts if the file has no unit.
    """

    axis: int
    chosen: tuple[int, ...]
    numbers: tuple[int, ...]
    file_axis: int
    count: int
    places: tuple[str, ...]

    def names(self) -> list[str]:
        """Return each slice's name: ``34 (I 12.5 mm)``."""
        return [f"{n} ({place})" if place else str(n) for n, place in zip(self.numbers, self.places, strict=True)]

    def sentence(self) -> str:
        """Return which they are, in words."""
        which = f"{NAMES[self.axis]} slices {', '.join(self.names())}"
        return f"{which} of {self.count}, counted from 0 along axis {self.file_axis + 1} of the file"


def choose_slices(uncertainty: NDArray[np.int16], geometry: Geometry, axis: int, most: int) -> Slices | None:
    """Return at most ``most`` slices of an uncertainty map (X, Y, Z), in the voxels of its file.

    The slice with the largest sum comes first, then always the largest that is far enough from those chosen: by the
    number of uncertain slices divided by twice ``most``. None if the volume has no more slices than that, or nothing
    is uncertain.

    Args:
        uncertainty: the map.
        geometry: its grid.
        axis: the axis across which to slice, R, A or S.
        most: the largest number of slices.
    """
    turned, grid = to_ras(uncertainty, geometry)
    count = turned.shape[axis]
    sums = turned.sum(axis=tuple(other for other in range(3) if other != axis), dtype=np.float64)
    if count <= most or not sums.any():
        return None
    chosen = apart(sums, most)
    file_axis, numbers = _in_file(geometry, axis, chosen)
    places = tuple(position_text(grid, axis, index) for index in chosen)
    return Slices(axis, chosen, numbers, file_axis, count, places)


def apart(sums: Sequence[float] | NDArray[np.float64], most: int) -> tuple[int, ...]:
    """Return the indices of at most ``most`` of the largest positive sums that are apart from each other."""
    values = np.array(sums, np.float64)
    gap = max(int(np.count_nonzero(values > 0)) // (2 * most), 1)
    chosen: list[int] = []
    while len(chosen) < most and values.max() > 0:
        best = int(values.argmax())
        chosen.append(best)
        values[max(best - gap, 0) : best + gap + 1] = 0
    return tuple(chosen)


def _in_file(geometry: Geometry, axis: int, indices: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Return the file's axis for an axis of its grid in R, A, S, and the numbers that slices have along it."""
    for own, size in enumerate(geometry.shape):
        ramp = np.arange(size).reshape([-1 if other == own else 1 for other in range(3)])
        turned = to_ras(np.broadcast_to(ramp, geometry.shape), geometry)[0]
        along = np.moveaxis(turned, axis, 0)[:, 0, 0]
        if size > 1 and along[0] != along[-1]:
            return own, tuple(int(along[index]) for index in indices)
    return axis, tuple(indices)
