"""Cross entropy per sample."""

import torch.nn.functional as F
from torch import Tensor

from semiseg.types import IGNORE


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy over voxels of each sample: (B, K, \\*spatial) and (B, \\*spatial) give (B,).

    IGNORE voxels have cross entropy 0, and count in the number of voxels.
    """
    return F.cross_entropy(logits, labels.long(), ignore_index=IGNORE, reduction="none").flatten(1).mean(dim=1)
