"""Preprocessing of every case: axes to R, A, S, the foreground box, intensities, and the grid of the networks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.io.orientation import grid_in_ras, to_ras
from semiseg.preprocessing.normalization import scalings
from semiseg.preprocessing.preparation import Box, Preparation
from semiseg.preprocessing.resampling import Interpolation, axis_apart, resample_channel, resample_mask, resampled_shape
from semiseg.preprocessing.slices import slice_axis
from semiseg.recipe import schema
from semiseg.types import Geometry, Shape, Volume

Array = NDArray[np.integer | np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A preprocessed image: (C, x, y, z) as stored, cut to the foreground box, axes R, A, S."""

    array: Array
    preparation: Preparation

    def normalized(self) -> NDArray[np.float32]:
        """Return the networks' input: (C, x, y, z) float32."""
        return self.preparation.normalize(self.array)

    def restore(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return class indices (x, y, z) of this box in the image's own grid; 0 outside the box."""
        return self.preparation.restore(labels)


def prepare(volume: Volume, options: schema.Preprocessing, where: str = "", modalities: Sequence[str] = ()) -> Prepared:
    """Preprocess an image (C, X, Y, Z), without using its label.

    Integers of up to 16 bits stay as stored; other types become float32. Statistics are computed in float64 over each
    modality's own foreground, since one modality may cover less of the head than another. An image that is resampled
    (``preprocessing.spacing``, ``resize``) is normalized first, as in nnU-Net, and stored as float32.

    Args:
        volume: the image on its file's grid.
        options: the recipe's, without values that are still "auto".
        where: the image's name in messages.
        modalities: the names of the channels, which normalization by modality needs.

    Raises:
        DataError: the image has no foreground, values too large for float32, or a voxel size that is unknown or out of
            proportion to the recipe's. RecipeError: options that do not fit the modalities.
    """
    array, geometry = to_ras(volume.array, volume.geometry)
    x, y, z = geometry.shape
    box: Box = ((0, x), (0, y), (0, z))
    if options.foreground == "nonzero":
        box = _with_margin(foreground_box(array, where), options.crop_margin, box) if options.crop else box
    cut = _compact(array[(slice(None), *(slice(*side) for side in box))], where)
    if options.foreground == "nonzero" and not cut.any():
        raise _no_foreground(where)
    found = scalings(cut, options, modalities)
    zero_stays = options.foreground == "nonzero" and options.normalize != "none"
    plain = Preparation(
        volume.geometry,
        box,
        tuple(scaling.offset for scaling in found),
        tuple(scaling.scale for scaling in found),
        zero_stays,
        slice_axis(volume.geometry, options.slice_axis),
        limits=tuple(scaling.limits for scaling in found) if any(scaling.limits for scaling in found) else None,
    )
    grid, apart = network_grid(volume.geometry, plain.box_shape, options, where)
    return Prepared(cut, plain) if grid is None else _resampled(cut, plain, grid, apart, options.interpolation)


def network_grid(
    geometry: Geometry, shape: Shape, options: schema.Preprocessing, where: str = ""
) -> tuple[Shape | None, int | None]:
    """Return the shape to which part of an image is resampled, and the axis that is resampled apart.

    By its voxel size (``spacing``) or to a number of voxels (``resize``).

    Args:
        geometry: the image's grid, as in its file.
        shape: the part's shape in voxels, axes R, A, S.
        options: the recipe's, with a voxel size of two sides (in the plane of the slices) or three.
        where: the image's name in messages.

    Returns:
        (None, None) if the part keeps its voxels. With two sides, slices stay as they are.

    Raises DataError if the image stores no voxel size, or one by which its extent would be multiplied by more than 20.
    """
    if options.resize != "none":
        return _resized(geometry, shape, options, where)
    if isinstance(options.spacing, str) or geometry.unit == "pixel":
        return None, None
    if geometry.unit != "mm":
        what = f"its file stores no voxel size, so that it cannot be resampled to {_mm(options.spacing)} mm"
        raise DataError(Problem(where, what, "Set preprocessing.spacing to none, or store the voxel size in the file."))
    own, target = grid_in_ras(geometry).spacing, options.spacing
    apart = None
    if len(target) == 2:
        apart = slice_axis(geometry, options.slice_axis)
        target = (*target[:apart], own[apart], *target[apart:])
    grid = resampled_shape(shape, own, target)
    if any(new > _MOST * old for new, old in zip(grid, shape, strict=True)):
        what = f"its voxels are {_mm(own)} mm, too large to be resampled to {_mm(options.spacing)} mm"
        raise DataError(Problem(where, what, "Correct the voxel size in its header, or leave the case out."))
    if grid == shape:
        return None, None
    return grid, axis_apart(own, target) if apart is None else apart


def network_shape(geometry: Geometry, options: schema.Preprocessing, where: str = "") -> Shape:
    """Return the shape of a whole image, not cropped, as networks see it. Arguments and errors as ``network_grid``."""
    shape = grid_in_ras(geometry).shape
    return network_grid(geometry, shape, options, where)[0] or shape


def _resized(
    geometry: Geometry, shape: Shape, options: schema.Preprocessing, where: str
) -> tuple[Shape | None, int | None]:
    """Return ``network_grid`` for a number of voxels."""
    assert options.resize != "none"
    own, wanted, apart = grid_in_ras(geometry).spacing, options.resize, None
    if len(wanted) == 2:
        apart = slice_axis(geometry, options.slice_axis)
        wanted = (*wanted[:apart], shape[apart], *wanted[apart:])
    else:
        apart = axis_apart(own, [size * n / new for size, n, new in zip(own, shape, wanted, strict=True)])
    x, y, z = wanted
    if any(new > _MOST * old for new, old in zip((x, y, z), shape, strict=True)):
        what = f"it has {' x '.join(map(str, shape))} voxels, too few to be resampled to {x} x {y} x {z}"
        raise DataError(Problem(where, what, "Correct the image, or leave the case out."))
    return (None, None) if (x, y, z) == shape else ((x, y, z), apart)


_MOST = 20
"""Number of voxels into which one may be divided along an axis."""


def _mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{size:.3g}" for size in spacing)


def _resampled(
    cut: Array, plain: Preparation, grid: Shape, apart: int | None, interpolation: Interpolation
) -> Prepared:
    """Normalize, then resample; where zeros are background, voxels that are mostly background become 0."""
    found = np.empty((len(cut), *grid), np.float32)
    for index, channel in enumerate(plain.normalize(cut)):
        found[index] = resample_channel(channel, grid, apart, interpolation)
        if plain.zero_stays:
            found[index][~resample_mask(cut[index] != 0, grid, apart)] = 0
    return Prepared(
        found,
        replace(
            plain,
            offset=(0.0,) * len(cut),
            scale=(1.0,) * len(cut),
            limits=None,
            zero_stays=False,
            grid=grid,
            apart=apart,
        ),
    )


def foreground_box(array: NDArray[np.generic], where: str = "") -> Box:
    """Return the smallest box that contains every voxel that is nonzero in any channel of (C, X, Y, Z).

    Raises DataError if all are 0.
    """
    box = nonzero_box(array)
    if box is None:
        raise _no_foreground(where)
    return box


def _with_margin(box: Box, margin: int, whole: Box) -> Box:
    x, y, z = ((max(a - margin, 0), min(b + margin, n)) for (a, b), (_, n) in zip(box, whole, strict=True))
    return x, y, z


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
