"""Losses of sigmoid outputs against regions: unions of classes that may overlap."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.losses.dice_form import MONAI, DiceForm
from semiseg.types import IGNORE


class RegionLosses:
    """The losses of logits (B, R, \\*spatial) of R regions against label maps of class indices (b, \\*spatial).

    A voxel lies in a region if its class is one of the region's; background lies in none. As in nnU-Net's region-based
    training (Isensee et al. 2021, doi:10.1007/978-3-030-72087-2_11), the mean over regions of a soft Dice loss and of a
    binary cross entropy, both of the outputs' sigmoid.

    Args:
        members: for each region, whether each class lies in it: (R, number of classes) bool.
        form: the regions and samples of the Dice losses' sums; regions have no background to leave out.
    """

    def __init__(self, members: Sequence[Sequence[bool]], form: DiceForm = MONAI) -> None:
        self.members = torch.tensor(members, dtype=torch.bool)
        self.form = replace(form, background=True)

    def inside(self, labels: Tensor) -> Tensor:
        """Return whether each voxel lies in each region, (b, R, \\*spatial) bool; an IGNORE voxel lies in none."""
        index = labels.long().clamp_min(0)  # IGNORE is negative, and background is in no region
        return torch.stack([member[index] for member in self.members.to(labels.device)], dim=1)

    def dice(self, logits: Tensor, label_maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the Dice losses against several label maps, each (b,)."""
        if not label_maps:
            return []
        p = torch.sigmoid(logits)
        return [self.dice_of_probabilities(p[: len(labels)], labels) for labels in label_maps]

    def dice_of_known(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the Dice losses over voxels that are not IGNORE."""
        return self.dice_of_probabilities(torch.sigmoid(logits), labels, known=labels != IGNORE)

    def dice_of_probabilities(
        self, p: Tensor, labels: Tensor, known: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return 1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s), s = 1e-5, averaged over regions as the form says: (b,).

        ``known``: the voxels that count; by default all. ``weights``: factors of the regions' losses, (R,).
        """
        if known is not None:
            p = p * known[:, None]
        p, t = p.flatten(2), self.inside(labels).flatten(2)
        overlap = torch.where(t, p, 0).sum(2)
        return self.form.losses(p.sum(2), overlap, t.sum(2), weights)

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the binary cross entropy, averaged over regions and all voxels; it is 0 at IGNORE voxels: (b,)."""
        entropy = F.binary_cross_entropy_with_logits(logits, self.inside(labels).to(logits.dtype), reduction="none")
        return (entropy.mean(dim=1) * (labels != IGNORE)).flatten(1).mean(dim=1)
