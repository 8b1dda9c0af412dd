"""Metrics based on distances between the surfaces of two masks."""

import math
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.metric import MaskPair, Metric
from semiseg.metrics.surface import Surfaces, area_surfaces, border_surfaces

Array = NDArray[np.float64]


class _Distance(Metric):
    """A length: infinite for a missed or a spurious structure, which the policy for means replaces."""

    distance: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = False
    missed: float = math.inf
    spurious: float = math.inf


class HD95(_Distance):
    """95 % Hausdorff distance: the larger of the two directed 95th percentiles.

    Distances run from each border voxel of one mask (a voxel with a face neighbor outside the mask, or at the image's
    edge) to the nearest border voxel of the other. The 95th percentile interpolates linearly between order statistics;
    the larger of both directions counts. The unit is the image's: mm, voxels if the spacing is unknown, or pixels. In a
    2D image, neighbors are those in its plane. A missed or a spurious structure is infinitely far, which the policy for
    means replaces or leaves out, and counts. If both masks are empty, the value is undefined (nan).

    Three definitions are in use, and differ by several times on the same masks: ``maximum``, as above, equals MONAI's
    ``compute_hausdorff_distance(percentile=95)``; ``pooled`` takes one percentile of the distances in both directions
    together, which hides outliers in one of them, and equals MedPy's ``hd95``; ``area`` measures between the surface
    elements at voxel corners, weights them by their areas, and equals surface-distance's ``compute_robust_hausdorff(…,
    95)``, which BraTS 2023 and later use.

    Source: D. P. Huttenlocher et al., "Comparing images using the Hausdorff distance", IEEE TPAMI 15, 1993, with the
    percentile instead of the maximum; for ``area`` S. Nikolov et al. 2021, doi:10.2196/26151.
    """

    class Options(ComponentOptions):
        """The choice of definition."""

        kind: Literal["maximum", "pooled", "area"] = "maximum"
        """maximum of the directed percentiles (MONAI), both directions pooled (MedPy), area-weighted (BraTS 2023)."""

    def value(self, pair: MaskPair) -> float:
        """Return the distance in ``pair.unit``."""
        if self.options.kind == "area":
            surfaces = pair.shared(area_surfaces)
            there = _weighted_percentile(surfaces.from_reference, surfaces.reference_areas, 0.95)
            return max(there, _weighted_percentile(surfaces.from_prediction, surfaces.prediction_areas, 0.95))
        surfaces = pair.shared(border_surfaces)
        if self.options.kind == "pooled":
            return _percentile(np.concatenate([surfaces.from_reference, surfaces.from_prediction]), 0.95)
        return max(_percentile(surfaces.from_reference, 0.95), _percentile(surfaces.from_prediction, 0.95))


class HD(_Distance):
    """Hausdorff distance: the largest distance from a border voxel of one mask to the nearest one of the other.

    Border voxels are those with a face neighbor outside the mask, or at the image's edge. The unit is the image's: mm,
    voxels if the spacing is unknown, or pixels. In a 2D image, neighbors are those in its plane. A single distant voxel
    determines the value. A missed or a spurious structure is infinitely far, which the policy for means replaces or
    leaves out, and counts. If both masks are empty, the value is undefined (nan).

    Source: D. P. Huttenlocher et al., "Comparing images using the Hausdorff distance", IEEE TPAMI 15, 1993. Equals
    MONAI's ``compute_hausdorff_distance`` and MedPy's ``hd``.
    """

    def value(self, pair: MaskPair) -> float:
        """Return the distance in ``pair.unit``."""
        surfaces = pair.shared(border_surfaces)
        return float(max(surfaces.from_reference.max(), surfaces.from_prediction.max()))


class ASSD(_Distance):
    """Average symmetric surface distance: the mean over the border voxels of both masks.

    It averages the distances from each border voxel (one with a face neighbor outside the mask, or at the image's edge)
    of either mask to the nearest of the other. The unit is the image's: mm, voxels if the spacing is unknown, or
    pixels. In a 2D image, neighbors are those in its plane. A missed or a spurious structure is infinitely far, which
    the policy for means replaces or leaves out, and counts. If both masks are empty, the value is undefined (nan).

    Source: T. Heimann et al., "Comparison and evaluation of methods for liver segmentation from CT datasets", IEEE TMI
    28, 2009. Equals MedPy's ``assd`` and MONAI's ``compute_average_surface_distance(symmetric=True)``.
    """

    def value(self, pair: MaskPair) -> float:
        """Return the mean in ``pair.unit``."""
        surfaces = pair.shared(border_surfaces)
        total = surfaces.from_reference.sum() + surfaces.from_prediction.sum()
        return float(total / (surfaces.from_reference.size + surfaces.from_prediction.size))


class NSD(Metric):
    """Normalized surface distance (surface Dice): the fraction of both surfaces within a tolerance of the other.

    From 0 to 1, without unit. Surfaces are measured in border voxels (those with a face neighbor outside the mask, or
    at the image's edge), or in areas of surface elements. In a 2D image, neighbors are those in its plane, and areas
    are lengths of contours. A missed or a spurious structure counts 0; if both masks are empty, the value is undefined
    (nan) and excluded from means.

    Source: S. Nikolov et al., "Clinically applicable segmentation of head and neck anatomy for radiotherapy", JMIR 23,
    2021, doi:10.2196/26151. ``border`` equals MONAI's ``compute_surface_dice``, ``area`` surface-distance's
    ``compute_surface_dice_at_tolerance``.
    """

    class Options(ComponentOptions):
        """The tolerance, and the measure of surfaces."""

        tolerance: Annotated[float, Field(ge=0)] = 1.0
        """Accepted distance in mm, in voxels if the spacing is unknown, or in pixels: that between two annotators."""
        kind: Literal["border", "area"] = "border"
        """Border voxels (MONAI), or areas of surface elements (surface-distance)."""

    def value(self, pair: MaskPair) -> float:
        """Return the share of both surfaces that is within the tolerance."""
        surfaces = pair.shared(border_surfaces if self.options.kind == "border" else area_surfaces)
        right = sum(float(areas[distances <= self.options.tolerance].sum()) for distances, areas in _sides(surfaces))
        return right / sum(float(areas.sum()) for _, areas in _sides(surfaces))


def _sides(surfaces: Surfaces) -> tuple[tuple[Array, Array], ...]:
    return (
        (surfaces.from_reference, surfaces.reference_areas),
        (surfaces.from_prediction, surfaces.prediction_areas),
    )


def _percentile(distances: Array, share: float) -> float:
    """Return a percentile by linear interpolation between order statistics."""
    return float(np.quantile(distances, share, method="linear"))


def _weighted_percentile(distances: Array, areas: Array, share: float) -> float:
    """Return the smallest distance that covers at least this fraction of the area."""
    order = np.argsort(distances)
    reached = np.cumsum(areas[order]) / areas.sum()
    place = min(int(np.searchsorted(reached, share)), distances.size - 1)
    return float(distances[order][place])
