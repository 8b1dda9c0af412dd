"""Cross entropy per sample."""

import torch.nn.functional as F
from torch import Tensor

IGNORED = -100
"""The label of a voxel whose cross entropy is 0: torch's default."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy over voxels of each sample: (B, K, X, Y, Z) and (B, X, Y, Z) give (B,).

    IGNORED voxels have cross entropy 0, and count in the number of voxels.
    """
    return F.cross_entropy(logits, labels.long(), reduction="none").flatten(1).mean(dim=1)
