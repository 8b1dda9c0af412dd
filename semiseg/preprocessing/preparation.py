"""The record of an image's preprocessing: enough to normalize any part of it and to map labels back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.io.orientation import to_ras
from semiseg.preprocessing.resampling import resample_channel, resample_label
from semiseg.preprocessing.slices import slice_axis
from semiseg.recipe.schema import SliceAxis
from semiseg.types import IGNORED, Geometry, Shape

_SLAB = 8
"""Number of planes normalized at a time: few enough to stay in the processor's cache."""

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Preparation:
    """The relation of a preprocessed image to its file.

    Attributes:
        geometry: the file's own grid.
        box: the part that was kept, first and last plus one along R, A and S, in voxels of the reoriented grid.
        offset: subtracted from each channel.
        scale: then multiplied with each channel.
        zero_stays: voxels stored as 0 are background, and stay exactly 0.
        slice_axis: the axis across which the image is sliced for networks of two dimensions.
        grid: the shape (x, y, z) to which the box was resampled; None if it keeps the file's voxels.
        apart: the coarse axis that was resampled apart from the others, slice by slice; None if there is none.
        limits: the range to which each channel is clipped before that, None for one that is not; None for all.
    """

    geometry: Geometry
    box: Box
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    zero_stays: bool
    slice_axis: int = 2
    grid: Shape | None = None
    apart: int | None = None
    limits: tuple[tuple[float, float] | None, ...] | None = None

    @property
    def shape(self) -> Shape:
        """Shape of the preprocessed image, in voxels of its own grid."""
        return self.box_shape if self.grid is None else self.grid

    @property
    def box_shape(self) -> Shape:
        """Shape of the box, in voxels of the file."""
        x, y, z = (stop - start for start, stop in self.box)
        return x, y, z

    def normalize(self, array: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Normalize stored values (C, …) for networks; any part of an image gives the same values as the whole."""
        result = np.empty(array.shape, np.float32) if out is None else out
        limits = self.limits or (None,) * len(self.offset)
        for values, target, *numbers, ends in zip(array, result, self.offset, self.scale, limits, strict=True):
            offset, scale = map(np.float32, numbers)
            for first in range(0, len(values), _SLAB):
                slab = slice(first, first + _SLAB)
                self._normalize(values[slab], target[slab], offset, scale, ends)
        return result

    def _normalize(
        self,
        values: NDArray[Any],
        target: NDArray[np.float32],
        offset: np.float32,
        scale: np.float32,
        ends: tuple[float, float] | None,
    ) -> None:
        np.copyto(target, values, casting="same_kind")  # faster than a converting subtraction
        if ends is not None:
            np.clip(target, *ends, out=target)
        np.subtract(target, offset, out=target)
        np.multiply(target, scale, out=target)
        if self.zero_stays:
            np.copyto(target, 0, where=values == 0)

    def restore(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return class indices (x, y, z) of the box in the file's own grid; 0 outside the box."""
        result = np.zeros(self.geometry.shape, np.uint8)
        turned, _ = to_ras(result, self.geometry)  # a view of result
        turned[self._slices()] = labels
        return result

    def cut_label(self, label: NDArray[np.uint8], has_ignored: bool = False) -> tuple[NDArray[np.uint8], int]:
        """Return a label of the file's grid on this grid, and how many of its foreground voxels lie outside the box.

        With ``has_ignored``, the label may hold IGNORED, which is no foreground.
        """
        turned, _ = to_ras(label, self.geometry)
        cut = np.ascontiguousarray(turned[self._slices()])
        n_outside = count_foreground(label, has_ignored) - count_foreground(cut, has_ignored)
        return cut if self.grid is None else resample_label(cut, self.grid, self.apart), n_outside

    def cut_values(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values of the file's grid, such as a confidence, on this grid, interpolated linearly."""
        turned, _ = to_ras(values, self.geometry)
        cut = np.ascontiguousarray(turned[self._slices()])
        return cut if self.grid is None else resample_channel(cut, self.grid, self.apart, "linear")

    def _slices(self) -> tuple[slice, ...]:
        return tuple(slice(start, stop) for start, stop in self.box)

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON, without the slice axis: it is the recipe's choice for the same voxels."""
        return {
            "shape": list(self.geometry.shape),
            "affine": self.geometry.affine.tolist(),
            "unit": self.geometry.unit,
            "box": [list(side) for side in self.box],
            "offset": list(self.offset),
            "scale": list(self.scale),
            "zero_stays": self.zero_stays,
            **({"limits": [ends and list(ends) for ends in self.limits]} if self.limits else {}),
            **({"grid": list(self.grid), "apart": self.apart} if self.grid else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], wanted: SliceAxis = "auto") -> "Preparation":
        """Return the inverse of ``as_dict``, for a choice of the slice axis; numbers are restored exactly."""
        (x, y, z), (i, j, k) = values["shape"], (tuple(side) for side in values["box"])
        geometry = Geometry((x, y, z), np.array(values["affine"], np.float64), values["unit"])
        return cls(
            geometry,
            (i, j, k),
            tuple(values["offset"]),
            tuple(values["scale"]),
            bool(values["zero_stays"]),
            slice_axis(geometry, wanted),
            tuple(values["grid"]) if "grid" in values else None,
            values.get("apart"),
            tuple(ends and (ends[0], ends[1]) for ends in values["limits"]) if "limits" in values else None,
        )


def count_foreground(label: NDArray[np.uint8], has_ignored: bool = False) -> int:
    """Return the number of voxels of foreground classes; with ``has_ignored``, the label may hold IGNORED."""
    count = int(np.count_nonzero(label))
    return count - int(np.count_nonzero(label == IGNORED)) if has_ignored else count
