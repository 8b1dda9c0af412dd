"""The record of what was done to an image: enough to normalize any part of it and to bring labels back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.io.orientation import to_ras
from semiseg.types import Geometry, Shape

_SLAB = 8
"""How many planes are normalized at a time: few enough to stay in the processor's cache."""

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Preparation:
    """How a prepared image relates to its file.

    Attributes:
        geometry: the file's own grid.
        box: what was kept, first and last plus one along R, A and S, in voxels of the turned grid.
        offset: what is subtracted from each channel.
        scale: by what each channel is then multiplied.
        zero_stays: voxels that are stored as 0 are background, and stay exactly 0.
    """

    geometry: Geometry
    box: Box
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    zero_stays: bool

    @property
    def shape(self) -> Shape:
        """Of the box, in voxels."""
        x, y, z = (stop - start for start, stop in self.box)
        return x, y, z

    def normalize(self, array: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Stored values (C, …) as networks see them; any part of an image gives the same values as the whole."""
        result = np.empty(array.shape, np.float32) if out is None else out
        for values, target, offset, scale in zip(array, result, self.offset, self.scale, strict=True):
            for first in range(0, len(values), _SLAB):
                slab = slice(first, first + _SLAB)
                self._normalize(values[slab], target[slab], np.float32(offset), np.float32(scale))
        return result

    def _normalize(
        self, values: NDArray[Any], target: NDArray[np.float32], offset: np.float32, scale: np.float32
    ) -> None:
        np.copyto(target, values, casting="same_kind")  # faster than a subtraction that converts
        np.subtract(target, offset, out=target)
        np.multiply(target, scale, out=target)
        if self.zero_stays:
            np.copyto(target, 0, where=values == 0)

    def restore(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class indices (x, y, z) of the box, back in the file's own grid; 0 outside the box."""
        result = np.zeros(self.geometry.shape, np.uint8)
        turned, _ = to_ras(result, self.geometry)  # a view: what is written there is in the result
        turned[self._slices()] = labels
        return result

    def cut_label(self, label: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
        """A label on the file's grid, cut to the box, and how many of its foreground voxels lie outside."""
        turned, _ = to_ras(label, self.geometry)
        cut = np.ascontiguousarray(turned[self._slices()])
        return cut, int(np.count_nonzero(label)) - int(np.count_nonzero(cut))

    def _slices(self) -> tuple[slice, ...]:
        return tuple(slice(start, stop) for start, stop in self.box)

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON."""
        return {
            "shape": list(self.geometry.shape),
            "affine": self.geometry.affine.tolist(),
            "unit": self.geometry.unit,
            "box": [list(side) for side in self.box],
            "offset": list(self.offset),
            "scale": list(self.scale),
            "zero_stays": self.zero_stays,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preparation":
        """The inverse of ``as_dict``; numbers come back to the last digit."""
        (x, y, z), (i, j, k) = values["shape"], (tuple(side) for side in values["box"])
        return cls(
            Geometry((x, y, z), np.array(values["affine"], np.float64), values["unit"]),
            (i, j, k),
            tuple(values["offset"]),
            tuple(values["scale"]),
            bool(values["zero_stays"]),
        )
