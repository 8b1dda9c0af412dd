"""Preprocessing of every case: axes to R, A, S, the foreground box, and the normalization constants."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.io.orientation import to_ras
from semiseg.preprocessing.preparation import Box, Preparation
from semiseg.preprocessing.slices import slice_axis
from semiseg.recipe import schema
from semiseg.types import Volume

Array = NDArray[np.integer | np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A preprocessed image: (C, x, y, z) in its stored values, cut to the foreground box, axes R, A, S."""

    array: Array
    preparation: Preparation

    def normalized(self) -> NDArray[np.float32]:
        """Return the networks' input: (C, x, y, z) float32."""
        return self.preparation.normalize(self.array)

    def restore(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return class indices (x, y, z) of this box in the image's own grid; 0 outside the box."""
        return self.preparation.restore(labels)


def prepare(volume: Volume, options: schema.Preprocessing, where: str = "") -> Prepared:
    """Preprocess an image (C, X, Y, Z), without using its label.

    Integers of up to 16 bits stay as stored; other types become float32. Statistics are computed in float64 over each
    modality's own foreground, since one modality may cover less of the head than another.

    Raises:
        DataError: the image has no foreground, or values too large for float32. ``where`` is the name in the message.
    """
    array, geometry = to_ras(volume.array, volume.geometry)
    x, y, z = geometry.shape
    box: Box = ((0, x), (0, y), (0, z))
    if options.foreground == "nonzero":
        box = foreground_box(array, where) if options.crop else box
    cut = _compact(array[(slice(None), *(slice(*side) for side in box))], where)
    if options.foreground == "nonzero" and not cut.any():
        raise _no_foreground(where)
    pairs = [_normalization(channel, options) for channel in cut]
    offset, scale = zip(*pairs, strict=True)
    axis = slice_axis(volume.geometry, options.slice_axis)
    zero_stays = options.foreground == "nonzero" and options.normalize != "none"
    return Prepared(cut, Preparation(volume.geometry, box, offset, scale, zero_stays, axis))


def foreground_box(array: NDArray[np.generic], where: str = "") -> Box:
    """Return the smallest box that contains every voxel that is nonzero in any channel of (C, X, Y, Z).

    Raises DataError if all are 0.
    """
    box = nonzero_box(array)
    if box is None:
        raise _no_foreground(where)
    return box


def nonzero_box(array: NDArray[np.generic]) -> Box | None:
    """Return ``foreground_box``, or None if all voxels are 0."""
    sides = [np.zeros(n, dtype=bool) for n in array.shape[1:]]
    for channel in array:
        mask = channel != 0
        flat = mask.any(axis=2)
        for side, found in zip(sides, (flat.any(axis=1), flat.any(axis=0), mask.any(axis=(0, 1))), strict=True):
            np.logical_or(side, found, out=side)
    if not sides[0].any():
        return None
    spans = [np.flatnonzero(side) for side in sides]
    x, y, z = ((int(span[0]), int(span[-1]) + 1) for span in spans)
    return x, y, z


def _no_foreground(where: str) -> DataError:
    return DataError(Problem(where, "the image is empty: every voxel is 0", "Export the image again."))


def _compact(array: NDArray[np.generic], where: str) -> Array:
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind in "iu" and size <= 2:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):
        compact = np.ascontiguousarray(array, dtype=np.float32)
    if kind == "f" and size > 4 and not np.isfinite(compact).all():
        raise DataError(Problem(where, "the image has values too large for float32", "Scale its intensities."))
    return compact


def _normalization(channel: Array, options: schema.Preprocessing) -> tuple[float, float]:
    """Return the offset subtracted from a channel (x, y, z), and the factor it is then multiplied by."""
    if options.normalize == "none":
        return 0.0, 1.0
    nonzero = options.foreground == "nonzero"
    if options.normalize == "minmax":
        low, high = foreground_range(channel, nonzero)
        return low, 1 / (high - low) if high > low else 1.0
    mean, deviation = foreground_statistics(channel, nonzero)
    return mean, 1 / deviation if deviation > 0 else 1.0


def foreground_statistics(channel: Array, nonzero: bool) -> tuple[float, float]:
    """Return mean and population standard deviation of a channel (x, y, z); (0, 0) if it has no foreground.

    ``nonzero``: voxels of 0 are background. Two passes, so that a large mean costs no precision.
    """
    count = _total(channel, nonzero, lambda values: float(values.size))
    if not count:
        return 0.0, 0.0
    mean = _total(channel, nonzero, lambda values: float(values.sum())) / count
    variance = _total(channel, nonzero, lambda values: float(np.square(values - mean).sum())) / count
    return mean, variance**0.5


def foreground_range(channel: Array, nonzero: bool) -> tuple[float, float]:
    """Return minimum and maximum of a channel's foreground; (0, 0) if it has none."""
    ends = [(float(values.min()), float(values.max())) for values in _slabs(channel, nonzero) if values.size]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 0.0)


def _total(channel: Array, nonzero: bool, measure: Callable[[NDArray[np.float64]], float]) -> float:
    return sum(measure(values) for values in _slabs(channel, nonzero))


def _slabs(channel: Array, nonzero: bool) -> Iterator[NDArray[np.float64]]:
    for slab in channel:
        yield (slab[slab != 0] if nonzero else slab).astype(np.float64)
