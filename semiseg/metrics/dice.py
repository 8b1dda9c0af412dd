"""The Dice coefficient."""

from typing import ClassVar

import numpy as np

from semiseg.interfaces.metric import MaskPair, Metric


class Dice(Metric):
    """Dice similarity coefficient, 2|R∩P| / (|R| + |P|).

    R and P are the voxels of reference and prediction. From 0 to 1, without unit. A missed structure counts 0, a
    spurious one too; where both masks are empty the value is not defined (nan) and stays out of means.

    Source: L. R. Dice, "Measures of the amount of ecologic association between species", Ecology 26, 1945. Where
    both masks have voxels it equals MONAI's ``compute_dice`` and MedPy's ``dc``; nnU-Net has the same three values
    for empty masks.
    """

    missed: ClassVar[float] = 0.0
    spurious: ClassVar[float] = 0.0

    def value(self, pair: MaskPair) -> float:
        """2|R∩P| / (|R| + |P|), from voxel counts."""
        common = np.count_nonzero(pair.reference & pair.prediction)
        return 2 * common / (pair.n_reference + pair.n_prediction)
