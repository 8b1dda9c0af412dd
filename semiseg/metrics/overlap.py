"""Metrics of overlap and volume, from voxel counts."""

import math
from typing import ClassVar

import numpy as np

from semiseg.interfaces.metric import MaskPair, Metric


def common_voxels(pair: MaskPair) -> int:
    """Return |R∩P|: the number of voxels that reference and prediction share."""
    # Slice by slice, to avoid a third volume.
    return sum(int(np.count_nonzero(r & p)) for r, p in zip(pair.reference, pair.prediction, strict=True))


class Dice(Metric):
    """Dice similarity coefficient, 2|R∩P| / (|R| + |P|).

    R and P are the voxels of reference and prediction. From 0 to 1, without unit. A missed structure counts 0, as does
    a spurious one; if both masks are empty, the value is undefined (nan) and excluded from means.

    Source: L. R. Dice, "Measures of the amount of ecologic association between species", Ecology 26, 1945. If both
    masks have voxels, it equals MONAI's ``compute_dice`` and MedPy's ``dc``; nnU-Net uses the same three values for
    empty masks.
    """

    def value(self, pair: MaskPair) -> float:
        """Return 2|R∩P| / (|R| + |P|)."""
        return 2 * pair.shared(common_voxels) / (pair.n_reference + pair.n_prediction)


class Jaccard(Metric):
    """Jaccard index, |R∩P| / |R∪P|, also called intersection over union.

    R and P are the voxels of reference and prediction. From 0 to 1, without unit. A missed structure counts 0, as does
    a spurious one; if both masks are empty, the value is undefined (nan) and excluded from means.

    Source: P. Jaccard, "The distribution of the flora in the alpine zone", New Phytologist 11, 1912. If both masks have
    voxels, it equals MONAI's ``compute_iou`` and MedPy's ``jc``.
    """

    def value(self, pair: MaskPair) -> float:
        """Return |R∩P| / |R∪P|."""
        common = pair.shared(common_voxels)
        return common / (pair.n_reference + pair.n_prediction - common)


class Sensitivity(Metric):
    """Sensitivity, |R∩P| / |R|, also called recall: the fraction of the reference that was found.

    R and P are the voxels of reference and prediction. From 0 to 1, without unit. A missed structure counts 0. If the
    reference is empty (spurious, or both empty), there is nothing to find: undefined (nan), excluded from means.

    Source: the standard definition (J. Yerushalmy, Public Health Reports 62, 1947). If both masks have voxels, it
    equals MedPy's ``sensitivity``.
    """

    spurious: float = math.nan

    def value(self, pair: MaskPair) -> float:
        """Return |R∩P| / |R|."""
        return pair.shared(common_voxels) / pair.n_reference


class Precision(Metric):
    """Precision, |R∩P| / |P|, also called positive predictive value: the fraction of the prediction that is correct.

    R and P are the voxels of reference and prediction. From 0 to 1, without unit. A spurious structure counts 0. If the
    prediction is empty (missed, or both empty), there is nothing to judge: undefined (nan), excluded from means.

    Source: the standard definition (C. J. van Rijsbergen, Information Retrieval, 1979). If both masks have voxels, it
    equals MedPy's ``precision``.
    """

    missed: float = math.nan

    def value(self, pair: MaskPair) -> float:
        """Return |R∩P| / |P|."""
        return pair.shared(common_voxels) / pair.n_prediction


class VolumeDifference(Metric):
    """Relative volume difference, | |P| - |R| | / |R|, unsigned: 0.2 is a fifth too large or too small.

    R and P are the voxels of reference and prediction. From 0 up, without unit, lower is better; it does not depend on
    where the voxels are. A missed structure counts 1. If only the reference is empty (spurious), the value is infinite,
    which means exclude and count; if both are empty, it is undefined (nan).

    Source: T. Heimann et al., "Comparison and evaluation of methods for liver segmentation from CT datasets", IEEE TMI
    28, 2009. If both masks have voxels, it equals the absolute value of MedPy's ``ravd``.
    """

    higher_is_better: ClassVar[bool] = False
    missed: float = 1.0
    spurious: float = math.inf

    def value(self, pair: MaskPair) -> float:
        """Return | |P| - |R| | / |R|."""
        return abs(pair.n_prediction - pair.n_reference) / pair.n_reference
