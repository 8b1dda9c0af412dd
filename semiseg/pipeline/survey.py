"""What a dataset's images are like, from all headers and a few images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semiseg.data.preprocess import foreground_box
from semiseg.errors import DataError, Problem, raise_all
from semiseg.interfaces.dataset import Dataset
from semiseg.io.orientation import to_ras
from semiseg.types import Case, Shape

_IMAGES_READ = 5
_HEADERS_READ = 50
_ZEROS = 0.05
"""Share of voxels that are exactly 0 from which on 0 is taken for background, as skull-stripped images have it."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Median extents in voxels along right, anterior and superior; ``foreground`` is what preprocessing will keep."""

    image: Shape
    foreground: Shape
    zero_is_background: bool


def survey(dataset: Dataset, cases: Sequence[Case]) -> Survey:
    """Look at the headers of some cases and at the voxels of a few. Raises DataError with every unreadable file."""
    problems: list[Problem] = []
    shapes, boxes, zeros = [], [], []
    for case in _some(cases, _HEADERS_READ):
        try:
            geometry = dataset.read_geometry(case)
            shapes.append(to_ras(np.broadcast_to(np.uint8(0), geometry.shape), geometry)[0].shape)
        except DataError as error:
            problems += error.problems
    for case in _some(cases, _IMAGES_READ):
        try:
            volume = dataset.read_image(case)
            array, _ = to_ras(volume.array, volume.geometry)
            boxes.append([stop - start for start, stop in foreground_box(array, f"case {case.id}")])
            zeros.append(1.0 - float(np.mean(array.any(axis=0))))
        except DataError as error:
            problems += error.problems
    raise_all(list(dict.fromkeys(problems)), DataError)
    zero_is_background = float(np.median(zeros)) >= _ZEROS
    image = _median(shapes)
    return Survey(image, _median(boxes) if zero_is_background else image, zero_is_background)


def _some(cases: Sequence[Case], most: int) -> Sequence[Case]:
    return cases[:: -(-len(cases) // most)]


def _median(shapes: Sequence[Sequence[int]]) -> Shape:
    x, y, z = (int(n) for n in np.median(np.array(shapes), axis=0))
    return x, y, z
