"""Properties of a dataset's images, from some headers and a few images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semiseg.data.verify import named
from semiseg.errors import DataError, Problem, raise_all
from semiseg.interfaces.dataset import Dataset
from semiseg.io.orientation import grid_in_ras, to_ras
from semiseg.pipeline.spacing import mixed_spacing_note
from semiseg.preprocessing.prepare import foreground_box
from semiseg.types import Case, Geometry, Shape

_IMAGES_READ = 5
_HEADERS_READ = 50
_ZEROS = 0.05
"""Share of voxels equal to 0 from which 0 counts as background, as in skull-stripped images."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Median extents in voxels along right, anterior and superior; ``foreground`` is the part that preprocessing keeps.

    ``notes`` are sentences without their final period; ``pictures``: the images are pictures, with one slice.
    """

    image: Shape
    foreground: Shape
    zero_is_background: bool
    notes: tuple[str, ...] = ()
    pictures: bool = False


def survey(dataset: Dataset, cases: Sequence[Case]) -> Survey:
    """Survey the headers of some cases and the voxels of a few. Raises DataError with every unreadable file."""
    problems: list[Problem] = []
    geometries: list[Geometry] = []
    boxes, zeros = [], []
    for case in _some(cases, _HEADERS_READ):
        try:
            geometries.append(grid_in_ras(dataset.read_geometry(case)))
        except DataError as error:
            problems += named(case, error)
    for case in _some(cases, _IMAGES_READ):
        try:
            volume = dataset.read_image(case)
            array, _ = to_ras(volume.array, volume.geometry)
            boxes.append([stop - start for start, stop in foreground_box(array, f"case {case.id}")])
            zeros.append(1.0 - float(np.mean(array.any(axis=0))))
        except DataError as error:
            problems += named(case, error)
    raise_all(list(dict.fromkeys(problems)), DataError)
    pictures = all(geometry.unit == "pixel" for geometry in geometries)
    zero_is_background = not pictures and float(np.median(zeros)) >= _ZEROS
    image = _median([geometry.shape for geometry in geometries])
    foreground = _median(boxes) if zero_is_background else image
    return Survey(image, foreground, zero_is_background, tuple(mixed_spacing_note(geometries)), pictures)


def _some(cases: Sequence[Case], most: int) -> Sequence[Case]:
    return cases[:: -(-len(cases) // most)]


def _median(shapes: Sequence[Sequence[int]]) -> Shape:
    x, y, z = (int(n) for n in np.median(np.array(shapes), axis=0))
    return x, y, z
