"""Pseudo-labels of confident voxels; all other voxels are ignored, never treated as background."""

import torch
from torch import Tensor

from semiseg.codings.classes import CLASSES
from semiseg.codings.coding import Coding
from semiseg.losses.named import require_known
from semiseg.types import IGNORE


@torch.no_grad()
def confident_labels(logits: Tensor, threshold: float, coding: Coding = CLASSES) -> Tensor:
    """Return the most probable class if its probability is at least ``threshold``, else IGNORE.

    Args:
        logits: (n, K, \\*spatial) float.
        threshold: in [0, 1]; 0 accepts every voxel.
        coding: what the logits mean; a strategy gives its ``coding``.

    Returns:
        (n, \\*spatial) int64, without gradient.
    """
    return torch.where(coding.confidence(logits) >= threshold, coding.hard(logits).long(), IGNORE)


def accepted_share(labels: Tensor) -> Tensor:
    """Return the fraction of voxels that are not ignored in each sample: (n, \\*spatial) gives (n,) float32."""
    return (labels != IGNORE).flatten(1).float().mean(dim=1)


def masked_loss(logits: Tensor, labels: Tensor, kind: str, coding: Coding = CLASSES) -> Tensor:
    """Return each sample's loss against pseudo-labels, over the voxels that are not ignored.

    ``cross_entropy``: the sum over accepted voxels divided by the number of all voxels, so that a sample with few
    accepted voxels contributes little (FixMatch, arXiv:2001.07685, equation 4). ``dice``: the soft Dice loss of the
    accepted voxels only, 0 if there are none (UniMatch's medical code). ``dice_ce``: their sum.

    Args:
        logits: (n, K, \\*spatial) float.
        labels: (n, \\*spatial) int64 class indices, or IGNORE.
        kind: cross_entropy, dice or dice_ce.
        coding: what the logits mean; a strategy gives its ``coding``.

    Returns:
        (n,) losses; the gradient is 0 at ignored voxels.
    """
    require_known(kind)
    if kind == "cross_entropy":
        return coding.voxel_losses.cross_entropy(logits, labels)  # mean over all voxels, 0 at ignored ones
    dice = coding.loss(logits, labels, "dice", has_ignored=True)
    return dice if kind == "dice" else dice + coding.voxel_losses.cross_entropy(logits, labels)
