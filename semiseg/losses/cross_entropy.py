"""Cross entropy per sample."""

import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy over voxels of each sample: (B, K, X, Y, Z) and (B, X, Y, Z) give (B,)."""
    return F.cross_entropy(logits, labels.long(), reduction="none").flatten(1).mean(dim=1)
