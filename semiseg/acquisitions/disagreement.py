"""Disagreement of several networks."""

from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor

from semiseg.codings.coding import Coding
from semiseg.interfaces.acquisition import Acquisition


class Disagreement(Acquisition):
    """Takes the cases on which networks disagree most: those of a co-training method, or of several runs.

    At each voxel, the share of pairs of networks that predict different classes.

    Source: query by committee, H. S. Seung, M. Opper, H. Sompolinsky, "Query by committee", COLT 1992.
    """

    members: ClassVar[int] = 2

    def uncertainty(self, probabilities: Sequence[Tensor], coding: Coding) -> Tensor:
        """Return the share of pairs that differ."""
        labels = [coding.decide(values) for values in probabilities]
        total, pairs = torch.zeros(labels[0].shape), 0
        for one, other in combinations(labels, 2):
            total += one != other
            pairs += 1
        return total / pairs
