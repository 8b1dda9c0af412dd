"""Cross entropy: per sample, and of a batch with weights of classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.types import IGNORE


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross entropy over voxels of each sample: (B, K, \\*spatial) and (B, \\*spatial) give (B,).

    IGNORE voxels have cross entropy 0, and count in the number of voxels.
    """
    return F.cross_entropy(logits, labels.long(), ignore_index=IGNORE, reduction="none").flatten(1).mean(dim=1)


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the mean cross entropy of all voxels of a batch, each with its class's weight, divided by their sum.

    As torch's ``CrossEntropyLoss(weight)``: a scalar of logits (B, K, \\*spatial), labels (B, \\*spatial) and weights
    (K,) > 0. IGNORE voxels do not count; the loss is 0 if there are no others.
    """
    labels, weights = labels.long(), weights.to(logits.dtype)
    total = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE, reduction="none").sum()
    counted = torch.where(labels != IGNORE, weights[labels.clamp_min(0)], 0).sum()
    return total / counted.clamp_min(torch.finfo(logits.dtype).tiny)
