"""Properties of a dataset's images, from some headers and a few images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semiseg.data.verify import named
from semiseg.errors import DataError, Problem, raise_all
from semiseg.interfaces.dataset import Dataset
from semiseg.io.orientation import grid_in_ras, to_ras
from semiseg.planning.measures import which_are_ct
from semiseg.planning.rules import MANY_ZEROS, is_named_ct, target_spacing
from semiseg.preprocessing.prepare import foreground_box
from semiseg.preprocessing.spacing import CLEARLY
from semiseg.types import Case, Geometry, Shape

_IMAGES_READ = 5
_HEADERS_READ = 50


Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Grid:
    """A case's voxel size and shape, from its header."""

    spacing: Spacing | None
    box: Shape


@dataclass(frozen=True, slots=True)
class Survey:
    """Median extents in voxels along right, anterior and superior; ``foreground`` is the part that preprocessing keeps.

    Attributes:
        image: of the images as stored.
        foreground: of the part that preprocessing keeps, resampled to ``spacing``.
        zero_is_background: many voxels are 0.
        pictures: the images are pictures, with one slice.
        spacing: the voxel size in mm to resample to; None if it is unknown.
        sizes: the smallest and the largest voxel size along each axis, if they differ between cases.
        ct: the modalities that are CT.
    """

    image: Shape
    foreground: Shape
    zero_is_background: bool
    pictures: bool = False
    spacing: Spacing | None = None
    sizes: tuple[Spacing, Spacing] | None = None
    ct: tuple[str, ...] = ()

    @property
    def slice_axis(self) -> int | None:
        """The axis along which images have a single slice; None if there is none."""
        return next((axis for axis in (2, 1, 0) if self.image[axis] == 1), None)

    def in_plane(self, values: Sequence[Any]) -> list[Any]:
        """Return a value per axis without that of the single slice."""
        return [value for axis, value in enumerate(values) if axis != self.slice_axis]


def survey(dataset: Dataset, cases: Sequence[Case]) -> Survey:
    """Survey the headers of some cases and the voxels of a few. Raises DataError with every unreadable file."""
    problems: list[Problem] = []
    geometries: list[Geometry] = []
    boxes, zeros, hounsfield = [], [], []
    for case in _some(cases, _HEADERS_READ):
        try:
            geometries.append(grid_in_ras(dataset.read_geometry(case)))
        except DataError as error:
            problems += named(case, error)
    for case in _some(cases, _IMAGES_READ):
        try:
            volume = dataset.read_image(case)
            array, grid = to_ras(volume.array, volume.geometry)
            x, y, z = (stop - start for start, stop in foreground_box(array, f"case {case.id}"))
            boxes.append(_Grid(_spacing(grid), (x, y, z)))
            zeros.append(1.0 - float(np.mean(array.any(axis=0))))
            hounsfield.append(which_are_ct(array, case))
        except DataError as error:
            problems += named(case, error)
    raise_all(list(dict.fromkeys(problems)), DataError)
    pictures = all(geometry.unit == "pixel" for geometry in geometries)
    shares = zip(dataset.info().modalities, np.mean(hounsfield, axis=0), strict=True)
    ct = () if pictures else tuple(name for name, share in shares if is_named_ct(name) or share > 0.5)
    zero_is_background = not pictures and not ct and float(np.median(zeros)) >= MANY_ZEROS
    image = _median([geometry.shape for geometry in geometries])
    grids = [_Grid(_spacing(grid), grid.shape) for grid in geometries]
    spacing = target_spacing(grids) if all(grid.spacing for grid in grids) else None
    foreground = _median([_resampled(part, spacing) for part in (boxes if zero_is_background else grids)])
    sizes = np.array([grid.spacing for grid in grids]) if spacing else np.ones((1, 3))
    ends = None
    if (sizes.max(axis=0) > CLEARLY * sizes.min(axis=0)).any():
        (a, b, c), (d, e, f) = sizes.min(axis=0).tolist(), sizes.max(axis=0).tolist()
        ends = (a, b, c), (d, e, f)
    return Survey(image, foreground, zero_is_background, pictures, spacing, ends, ct)


def _spacing(grid: Geometry) -> Spacing | None:
    return grid.spacing if grid.unit == "mm" else None


def _resampled(part: _Grid, spacing: Spacing | None) -> Sequence[float]:
    """Return the extents of part of an image in voxels of another size."""
    if spacing is None or part.spacing is None:
        return part.box
    return [n * own / new for n, own, new in zip(part.box, part.spacing, spacing, strict=True)]


def _some(cases: Sequence[Case], most: int) -> Sequence[Case]:
    return cases[:: -(-len(cases) // most)]


def _median(shapes: Sequence[Sequence[float]]) -> Shape:
    x, y, z = (int(n + 1e-6) for n in np.median(np.array(shapes), axis=0))
    return x, y, z
