"""The soft Dice loss, per sample."""

import torch
from torch import Tensor

SMOOTH = 1e-5


def dice_from_probabilities(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Soft Dice loss of each sample, the mean over all classes, background included.

    For each class 1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s) with s = 1e-5: MONAI 1.6 ``DiceLoss`` with its
    defaults (Milletari et al. 2016, arXiv:1606.04797, without squares), kept apart by sample.

    Args:
        probabilities: (B, K, X, Y, Z) float, summing to 1 over K.
        labels: (B, X, Y, Z) integer class indices.

    Returns:
        (B,) losses in [0, 1].
    """
    classes = []
    for k in range(probabilities.shape[1]):
        p, t = probabilities[:, k].flatten(1), (labels == k).flatten(1)
        overlap = torch.where(t, p, 0).sum(1)
        classes.append(1 - (2 * overlap + SMOOTH) / (p.sum(1) + t.sum(1) + SMOOTH))
    return torch.stack(classes, dim=1).mean(dim=1)


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """``dice_from_probabilities`` of the softmax of logits (B, K, X, Y, Z): equation (2)'s Dice of the CPS paper."""
    return dice_from_probabilities(torch.softmax(logits, dim=1), labels)
