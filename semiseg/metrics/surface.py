"""Surfaces of a pair of masks and the distances between them, computed once for all metrics that need them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semiseg.interfaces.metric import MaskPair
from semiseg.metrics.areas import corner_shape, surface_areas
from semiseg.metrics.points import Distances, Points, border_points, nearest


@dataclass(frozen=True, slots=True, eq=False)
class Surfaces:
    """Distances from each element of one surface to the nearest of the other, in the pair's unit.

    ``from_reference`` (N,) and ``from_prediction`` (M,) are float64; ``reference_areas`` and ``prediction_areas``,
    of the same lengths, are the elements' weights: 1 for border voxels, square units for surface elements, units for
    elements of a 2D image's contours.
    """

    from_reference: Distances
    from_prediction: Distances
    reference_areas: NDArray[np.float64]
    prediction_areas: NDArray[np.float64]


def border_surfaces(pair: MaskPair) -> Surfaces:
    """Return the surfaces as border voxels: voxels of the mask with a face neighbor outside it (MONAI, MedPy).

    In a 2D image (``MaskPair.flat``), neighbors are those in its plane.

    Raises ValueError if a mask has no voxels, since there is no distance to measure.
    """
    points = border_points(pair.reference, pair.flat), border_points(pair.prediction, pair.flat)
    there, back = _both_ways(points, _shape(pair.reference), pair.spacing)
    return Surfaces(there, back, np.ones(there.size), np.ones(back.size))


def area_surfaces(pair: MaskPair) -> Surfaces:
    """Return the surfaces as marching-cubes elements at voxel corners, with their areas (surface-distance).

    In a 2D image, they are the elements of contours, with their lengths.

    Raises ValueError if a mask has no voxels.
    """
    found = [surface_areas(mask, pair.spacing, pair.flat) for mask in (pair.reference, pair.prediction)]
    x, y, z = corner_shape(_shape(pair.reference), pair.flat)
    there, back = _both_ways((found[0][0], found[1][0]), (x, y, z), pair.spacing)
    return Surfaces(there, back, found[0][1], found[1][1])


def _both_ways(
    points: tuple[Points, Points], shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> tuple[Distances, Distances]:
    return nearest(points[0], points[1], shape, spacing), nearest(points[1], points[0], shape, spacing)


def _shape(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    return mask.shape[0], mask.shape[1], mask.shape[2]
