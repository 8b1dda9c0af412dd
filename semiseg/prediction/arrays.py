"""Images from arrays: checked, and as volumes with a grid, as if they had been read from files."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import ArgumentError, Problem, raise_all
from semiseg.io.pictures import picture_grid
from semiseg.types import Geometry, Volume

ARRAY = "the array"
"""Its name in messages."""


def as_array(image: Any) -> NDArray[Any]:
    """Return an array of numbers, or a tensor of any device, as an array of numpy. Raises ArgumentError for others."""
    if hasattr(image, "detach"):
        image = image.detach().cpu().numpy()
    array = np.asarray(image)
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise ArgumentError(Problem(ARRAY, f"it has values of type {array.dtype}", "Give numbers."))
    return array


def array_volume(image: Any, modalities: Sequence[str], spacing: Any = None, affine: Any = None) -> Volume:
    """Return a volume for an array (X, Y, Z) of one modality, or (C, X, Y, Z).

    Args:
        image: of numbers.
        modalities: their names.
        spacing: size of a voxel in mm along X, Y, Z, which run to the right, front and top of the patient.
        affine: instead, the affine (4, 4) from voxel indices to RAS+ world coordinates in mm, as of nibabel.

    Without both, distances are in voxels. Raises ArgumentError with all problems.
    """
    array = as_array(image)
    if array.ndim == 3:
        array = array[None]
    names = f"{len(modalities)} ({', '.join(modalities)})"
    problems = []
    if array.ndim != 4:
        what = f"it has {array.ndim} axes, shape {array.shape}"
        fix = "Give (X, Y, Z), or (C, X, Y, Z) for several modalities. A single slice is (X, Y, 1)."
        problems.append(Problem(ARRAY, what, fix))
    elif len(array) != len(modalities):
        what = f"it has {len(array)} channels, shape {array.shape}, but the model's modalities are {names}"
        problems.append(Problem(ARRAY, what, "Give (C, X, Y, Z) with the modalities in this order."))
    problems += _value_problems(array)
    grid, wrong = _grid(array.shape[1:], spacing, affine)
    raise_all([*problems, *wrong], ArgumentError)
    return Volume(np.ascontiguousarray(array), grid)


def array_picture(image: Any, modalities: Sequence[str]) -> Volume:
    """Return a volume of one slice for the array of a picture, (rows, columns) or (rows, columns, C).

    Raises ArgumentError with all problems.
    """
    array = as_array(image)
    shape = array.shape
    if array.ndim == 2:
        array = array[:, :, None]
    problems = []
    if array.ndim != 3 or array.shape[2] != len(modalities):
        names = f"{len(modalities)} ({', '.join(modalities)})"
        what = f"its shape is {shape}, but the channels of the model's pictures are {names}"
        fix = "Give (rows, columns), or (rows, columns, C) for several channels."
        problems.append(Problem(ARRAY, what, fix))
    raise_all([*problems, *_value_problems(array)], ArgumentError)
    rows, columns, _ = array.shape
    return Volume(np.ascontiguousarray(array.transpose(2, 1, 0)[..., None]), picture_grid(columns, rows))


def _value_problems(array: NDArray[Any]) -> list[Problem]:
    if not array.size:
        return [Problem(ARRAY, f"it is empty, shape {array.shape}")]
    wrong = int(np.count_nonzero(~np.isfinite(array)))
    if not wrong:
        return []
    return [Problem(ARRAY, f"{wrong:,} values are not finite", "Replace them, for example by the background's value.")]


def _grid(shape: tuple[int, ...], spacing: Any, affine: Any) -> tuple[Geometry, list[Problem]]:
    unknown = Geometry(shape, np.eye(4), "voxel")
    if spacing is not None and affine is not None:
        return unknown, [Problem("spacing", "an affine is given, too, which has the spacing", "Give one of the two.")]
    if spacing is not None:
        sizes = np.asarray(spacing, np.float64)
        if sizes.shape != (3,) or not (np.isfinite(sizes) & (sizes > 0)).all():
            return unknown, [Problem("spacing", f"{spacing!r} are not three sizes above 0", "Give mm along X, Y, Z.")]
        return Geometry(shape, np.diag([*sizes, 1.0]), "mm"), []
    if affine is not None:
        matrix = np.asarray(affine, np.float64)
        usable = matrix.shape == (4, 4) and np.isfinite(matrix).all() and abs(np.linalg.det(matrix[:3, :3])) > 0
        if not usable:
            return unknown, [Problem("affine", "it is not an invertible matrix (4, 4)", "nibabel: image.affine.")]
        return Geometry(shape, matrix, "mm"), []
    return unknown, []
