"""Weights of classes that change during training: by how hard a class is to learn, and by how rare it is (DHC).

Wang and Li 2023 (arXiv:2307.11960), as in the public code (xmed-lab/DHC at b3dee97, code/train_dhc.py:140-214), but
without what goes wrong there where a class is missing. State is immutable, and one tensor per quantity, with one
element per class.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from semiseg.types import IGNORE

_TINY = 1e-8


class Difficulty(NamedTuple):
    """How hard each class is to learn, from its Dice at each step whose labels have it; every tensor is (K,) float.

    Attributes:
        dice: its last Dice.
        learned: moving average of (d - d') log(d / d') of Dice d after d', where it rose.
        unlearned: the same where it fell, also positive.
        error: moving average of 1 - Dice.
        seen: 1 once labels had the class, else 0.
    """

    dice: Tensor
    learned: Tensor
    unlearned: Tensor
    error: Tensor
    seen: Tensor

    @classmethod
    def start(cls, classes: int) -> "Difficulty":
        """Return the state before the first step."""
        zero = torch.zeros(classes)
        return cls(zero + _TINY, zero, zero, zero + 1, zero)

    def after(self, dice: Tensor, present: Tensor, decay: float) -> "Difficulty":
        """Return the state after a step; classes that are not ``present`` in its labels, (K,) bool, keep theirs."""
        change = dice - self.dice
        moved = change * (dice / self.dice).log()  # never negative
        rose = change > 0
        new = Difficulty(
            dice,
            decay * self.learned + (1 - decay) * torch.where(rose, moved, 0),
            decay * self.unlearned + (1 - decay) * torch.where(rose, 0, moved),
            decay * self.error + (1 - decay) * (1 - dice),
            torch.ones_like(self.seen),
        )
        return Difficulty(*(torch.where(present, now, before) for now, before in zip(new, self, strict=True)))

    def weights(self, floor: float) -> Tensor:
        """Return K times (unlearned / learned)^(1/5) error, divided by its maximum and at least ``floor``: (K,).

        A class that labels did not have yet counts as one of the hardest, but does not make others easier.
        """
        seen = self.seen > 0
        hard = ((self.unlearned + _TINY) / (self.learned + _TINY)).pow(1 / 5) * self.error
        return _scaled(torch.where(seen, hard / _largest(hard, seen), 1), floor)


class Rarity(NamedTuple):
    """How rare each class is, first by labels and then by pseudo-labels.

    The average of pseudo-labels begins with the value of labels, of which the share ``kept`` is left. As the data set's
    labels are not known at the start, that value is of all labels so far.

    Attributes:
        labeled: voxels of each class in all labels so far, (K,) int64.
        kept: (K,) float, decay to the power of the number of steps whose pseudo-labels had the class.
        average: the rest of the moving average, (K,) float.
    """

    labeled: Tensor
    kept: Tensor
    average: Tensor

    @classmethod
    def start(cls, classes: int) -> "Rarity":
        """Return the state before the first step."""
        return cls(torch.zeros(classes, dtype=torch.int64), torch.ones(classes), torch.zeros(classes))

    def after(self, labeled: Tensor, pseudo_labeled: Tensor, decay: float) -> "Rarity":
        """Return the state after a step with these numbers of voxels (K,); a class without one keeps its average."""
        present = pseudo_labeled > 0
        average = decay * self.average + (1 - decay) * rarity(pseudo_labeled)
        return Rarity(
            self.labeled + labeled,
            torch.where(present, decay * self.kept, self.kept),
            torch.where(present, average, self.average),
        )

    def weights(self, floor: float) -> Tensor:
        """Return K times the rarity, at least ``floor``: (K,)."""
        return _scaled(self.kept * rarity(self.labeled) + self.average, floor)


def rarity(counts: Tensor) -> Tensor:
    """Return log(max n / n) of numbers of voxels (K,), divided by the maximum over classes that have one: (K,) float32.

    It is 0 for the most frequent class, and 1 for the rarest one and for those without a voxel.
    """
    present, n = counts > 0, counts.clamp_min(1).float()
    rare = (n.max() / n).log()
    return torch.where(present, rare / _largest(rare, present), 1)


def counts_of(labels: Tensor, classes: int) -> Tensor:
    """Return the number of voxels of each class, (K,) int64; others, such as IGNORE, do not count."""
    return torch.stack([(labels == k).sum() for k in range(classes)])


def hard_dice(predicted: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return the Dice of each class over the voxels that are not IGNORE, (K,), and whether labels have it, (K,) bool.

    Both arguments are (n, \\*spatial) class indices; sums are over the batch. It is positive even without an overlap.
    """
    known = labels != IGNORE
    found = torch.where(known, predicted.long(), IGNORE)
    both = counts_of(torch.where(found == labels, labels, IGNORE), classes).float()
    n_labels = counts_of(labels, classes)
    dice = (2 * both + _TINY) / (counts_of(found, classes) + n_labels + 2 * _TINY)
    return dice, n_labels > 0


def _largest(values: Tensor, among: Tensor) -> Tensor:
    return torch.where(among, values, 0).max().clamp_min(torch.finfo(values.dtype).tiny)


def _scaled(weights: Tensor, floor: float) -> Tensor:
    return len(weights) * weights.clamp(floor, 1)
