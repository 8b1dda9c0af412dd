"""Pseudo-labels of confident voxels; all other voxels are ignored, never treated as background."""

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, eq=False)
class PseudoLabels:
    """Pseudo-labels of samples: classes, and with soft labels also probabilities.

    Attributes:
        hard: (n, \\*spatial) int64 class indices, or IGNORE.
        soft: (n, K, \\*spatial) float; the loss is against these where ``hard`` is not IGNORE.
    """

    hard: Tensor
    soft: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "PseudoLabels":
        """Return pseudo-labels with a function applied to each tensor, whose first axis is the samples."""
        return PseudoLabels(change(self.hard), None if self.soft is None else change(self.soft))

    def loss(self, logits: Tensor, kind: str, coding: Coding = CLASSES) -> Tensor:
        """Return each sample's loss of logits (n, K, \\*spatial), (n,): ``masked_loss``, or ``soft_cross_entropy``."""
        if self.soft is None:
            return masked_loss(logits, self.hard, kind, coding)
        return soft_cross_entropy(logits, self.soft, self.hard != IGNORE, coding)

    def accepted_share(self) -> Tensor:
        """Return ``accepted_share``, (n,)."""
        return accepted_share(self.hard)


@torch.no_grad()
def pseudo_labels(logits: Tensor, threshold: float, coding: Coding = CLASSES, soft: bool = False) -> PseudoLabels:
    """Return ``confident_labels`` of logits (n, K, \\*spatial), with probabilities if they are to be soft."""
    hard = confident_labels(logits, threshold, coding)
    return PseudoLabels(hard, coding.probabilities(logits) if soft else None)


def soft_cross_entropy(logits: Tensor, soft: Tensor, counted: Tensor, coding: Coding = CLASSES) -> Tensor:
    """Return the cross entropy against probabilities: the sum over counted voxels by the number of all voxels, (n,).

    Args:
        logits: (n, K, \\*spatial) float.
        soft: probabilities, likewise, without gradient.
        counted: (n, \\*spatial) bool.
        coding: what the logits mean; for regions, the mean over these.
    """
    entropy = -(coding.states(soft) * coding.log_probabilities(logits)).sum(dim=2).mean(dim=1)
    return torch.where(counted, entropy, 0).flatten(1).mean(dim=1)
