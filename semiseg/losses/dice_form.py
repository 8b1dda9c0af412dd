"""The form of a Dice loss: which classes and samples its sums are over, from the same sums of voxels."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

SMOOTH = 1e-5

Absent = Literal["counted", "ignored"]


@dataclass(frozen=True, slots=True)
class DiceForm:
    """How the Dice losses of classes become those of samples; the default is MONAI 1.6 ``DiceLoss``'s.

    Attributes:
        background: the mean over classes includes background (``include_background`` in MONAI).
        batch: the sums are over the voxels of all samples, so that a false positive counts in a sample that lacks the
            class (``batch`` in MONAI, ``batch_dice`` in nnU-Net). Every sample has the batch's loss.
        absent: a class without voxels in the label is ``counted``, with loss 1 - s / (sum(p) + s), which is near 1 and
            nearly without gradient as soon as sum(p) is far above s = 1e-5; or it is ``ignored``.
    """

    background: bool = True
    batch: bool = False
    absent: Absent = "counted"

    def losses(self, predicted: Tensor, overlap: Tensor, actual: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the loss of each sample, (n,): the mean over classes of 1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s).

        Args:
            predicted: sum(p) over the voxels of each sample and class, (n, K) float.
            overlap: sum(p t), likewise, where t is 1 at the class's voxels and 0 elsewhere.
            actual: sum(t), likewise.
            weights: factors of the classes' losses, (K,), by which the mean is not divided; by default all 1.
        """
        n, sums = len(predicted), (predicted, overlap, actual)
        if self.batch:
            sums = predicted.sum(0, keepdim=True), overlap.sum(0, keepdim=True), actual.sum(0, keepdim=True)
        if not self.background:
            sums = sums[0][:, 1:], sums[1][:, 1:], sums[2][:, 1:]
        predicted, overlap, actual = sums
        each = 1 - (2 * overlap + SMOOTH) / (predicted + actual + SMOOTH)
        if weights is not None:
            each = each * (weights if self.background else weights[1:])
        if self.absent == "counted":
            return each.mean(dim=1).expand(n)
        present = actual > 0
        return ((each * present).sum(dim=1) / present.sum(dim=1).clamp_min(1)).expand(n)


MONAI = DiceForm()
"""Per sample, over all classes, with classes that are absent."""
