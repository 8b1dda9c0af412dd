"""Entropy of the mean prediction."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from semiseg.codings.coding import Coding
from semiseg.interfaces.acquisition import Acquisition


class Entropy(Acquisition):
    """Takes the cases whose predictions have the highest entropy; works with a single network.

    Of the networks' mean probabilities at each voxel, divided by its maximum, log K for K classes. For regions that may
    overlap it is the mean of the regions' binary entropies.

    Source: B. Settles, "Active learning literature survey", 2009 (uncertainty sampling); with several networks it is
    the predictive entropy of an ensemble, W. H. Beluch et al., "The power of ensembles for active learning in image
    classification", CVPR 2018.
    """

    def uncertainty(self, probabilities: Sequence[Tensor], coding: Coding) -> Tensor:
        """Return the normalized entropy of the mean."""
        mean = torch.stack([*probabilities]).mean(0)
        states = coding.states(mean[None])[0]
        entropy: Tensor = torch.special.entr(states).sum(1).mean(0) / math.log(states.shape[1])
        return entropy.clamp(0, 1)
