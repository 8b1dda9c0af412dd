"""Voxel spacings: differences between cases, and new images whose spacing differs from the training cases'."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.io.orientation import grid_in_ras
from semiseg.messages import some
from semiseg.preprocessing.slices import slice_axis
from semiseg.recipe.schema import SliceAxis
from semiseg.types import Geometry

CLEARLY = 1.25
"""Ratio of voxel sizes along an axis from which on a difference is reported."""
_AXES = ("left-right", "front-back", "up-down")


def mixed_spacing_note(
    geometries: Iterable[Geometry], slices: SliceAxis | None = None, resampled: bool = False
) -> list[str]:
    """Return a note if the cases' voxel sizes differ by more than a quarter along an axis.

    ``slices``: ``preprocessing.slice_axis`` for networks of two dimensions, which do not see the distance of slices.
    ``resampled``: the recipe resamples images to one size.
    """
    if resampled:
        return []
    grids = list(geometries)
    seen = {axis: along[~np.isnan(along)] for axis, along in zip(_AXES, _columns(grids, slices), strict=True)}
    sizes = {axis: along for axis, along in seen.items() if along.size}
    if all(along.max() <= CLEARLY * along.min() for along in sizes.values()):
        return []
    unit = "mm" if all(grid.unit == "mm" for grid in grids) else "voxels"
    found = (f"{axis} {along.min():.3g}, {np.median(along):.3g}, {along.max():.3g}" for axis, along in sizes.items())
    return [
        f"spacing differs between cases (min, median and max in {unit}: {'; '.join(found)}), and images keep their"
        " voxels: set preprocessing.spacing to auto to resample them"
    ]


def training_spacing(grids: Iterable[Geometry]) -> dict[str, Any] | None:
    """Return the minimum, median and maximum voxel size of the training cases, for the run folder.

    In mm along right, anterior and superior, the axes of the networks' input; without sizes for 2D images, in pixels.
    None if no file stores a spacing.
    """
    grids = list(grids)
    if grids and all(grid.unit == "pixel" for grid in grids):
        return {"unit": "pixel"}
    known = [_spacing(grid) for grid in grids if grid.unit == "mm"]
    if not known:
        return None
    figures = {"min": np.min(known, axis=0), "median": np.median(known, axis=0), "max": np.max(known, axis=0)}
    return {"unit": "mm", **{name: [round(float(size), 6) for size in sizes] for name, sizes in figures.items()}}


def spacing_note(
    trained: Mapping[str, Any] | None,
    images: Mapping[str, Geometry],
    slices: SliceAxis | None = None,
    resampled: bool = False,
) -> str:
    """Return a note on images, by case, that clearly differ from all training cases: in spacing, or 2D or volumes.

    Empty if there are none.

    ``trained`` is the result of ``training_spacing``; None if unknown. The others as for ``mixed_spacing_note``.
    """
    flat = trained is not None and trained["unit"] == "pixel"
    unlike = [name for name, grid in images.items() if (grid.unit == "pixel") != flat]
    if unlike:
        had, have = ("2D images", "volumes") if flat else ("volumes", "2D images")
        return f"the model was trained on {had}, and these are {have}: {some(unlike, 5)}"
    if not trained or flat or resampled:
        return ""
    low, high = np.array(trained["min"]) / CLEARLY, np.array(trained["max"]) * CLEARLY
    spaced = {name: grid for name, grid in images.items() if grid.unit == "mm"}
    compared = zip(spaced.items(), (_compared(grid, slices) for grid in spaced.values()), strict=True)
    others = [f"{name} ({_text(_spacing(grid))})" for (name, grid), s in compared if ((s < low) | (s > high)).any()]
    if not others:
        return ""
    counted = f"{len(others)} image{' has' if len(others) == 1 else 's have'}"
    return (
        f"{counted} a clearly different spacing from the training cases, whose voxels are {_range(trained)} mm (right,"
        f" anterior, superior): {some(others, 5)}. Images are not resampled, and the model was not trained on such"
        f" images: resample them to about {_text(np.array(trained['median']))} mm, or do not rely on their predictions;"
        " a model trained with preprocessing.spacing resamples by itself."
    )


def _spacing(grid: Geometry) -> NDArray[np.float64]:
    """Return the voxel size along right, anterior and superior."""
    return np.array(grid_in_ras(grid).spacing)


def _compared(grid: Geometry, slices: SliceAxis | None) -> NDArray[np.float64]:
    """Return ``_spacing``, with NaN along the axis across which the image is sliced."""
    sizes = _spacing(grid)
    if slices is not None:
        sizes[slice_axis(grid, slices)] = np.nan
    return sizes


def _columns(grids: Sequence[Geometry], slices: SliceAxis | None) -> NDArray[np.float64]:
    return np.array([_compared(grid, slices) for grid in grids]).reshape(-1, len(_AXES)).T


def _text(sizes: NDArray[np.float64]) -> str:
    return " x ".join(f"{size:.3g}" for size in sizes)


def _range(trained: Mapping[str, Any]) -> str:
    ends = zip(trained["min"], trained["max"], strict=True)
    return " x ".join(f"{a:.3g}" if f"{a:.3g}" == f"{b:.3g}" else f"{a:.3g} to {b:.3g}" for a, b in ends)
