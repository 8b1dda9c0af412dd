"""Hausdorff distances between the surfaces of two masks."""

import math
from typing import ClassVar

import numpy as np

from semiseg.interfaces.metric import MaskPair, Metric
from semiseg.metrics.surface import directed_distances


class HD95(Metric):
    """95 % Hausdorff distance: the larger of the two directed 95th percentiles.

    From each border voxel of one mask (a voxel with a face neighbor outside the mask, or at the image's edge) to the
    nearest border voxel of the other; of these distances the 95th percentile, by linear interpolation between order
    statistics; of both directions the larger one. In the image's unit: mm, or voxels where no spacing is known. A
    missed or a spurious structure is infinitely far, which the aggregation's policy replaces or leaves out, and
    counts; where both masks are empty the value is not defined (nan).

    Source: D. P. Huttenlocher et al., "Comparing images using the Hausdorff distance", IEEE TPAMI 15, 1993, with the
    percentile in place of the maximum. Equals MONAI's ``compute_hausdorff_distance(percentile=95)``. It is not
    MedPy's ``hd95``, which takes one percentile of both directions pooled and so hides what lies far off in one.
    """

    distance: ClassVar[bool] = True
    higher_is_better: ClassVar[bool] = False
    missed: ClassVar[float] = math.inf
    spurious: ClassVar[float] = math.inf

    def value(self, pair: MaskPair) -> float:
        """The larger of the two directed 95th percentiles, in ``pair.unit``."""
        directed = directed_distances(pair.reference, pair.prediction, pair.spacing)
        return max(float(np.quantile(distances, 0.95, method="linear")) for distances in directed)
