"""The losses that strategies offer by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from semiseg.losses.cross_entropy import cross_entropy
from semiseg.losses.dice import dice_losses, dice_of_known
from semiseg.losses.dice_form import MONAI, DiceForm
from semiseg.types import IGNORE

KINDS = ("dice", "cross_entropy", "dice_ce")


class VoxelLosses(Protocol):
    """Dice and cross entropy of logits (B, K, \\*spatial), for one meaning of the outputs."""

    def dice(self, logits: Tensor, label_maps: Sequence[Tensor]) -> list[Tensor]:
        """Return Dice losses against several label maps (b, \\*spatial) of the first b samples, each (b,)."""

    def dice_of_known(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return Dice losses over the voxels that are not IGNORE, (b,)."""

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross entropy over all voxels, (b,); it is 0 at IGNORE voxels."""


@dataclass(frozen=True, slots=True)
class Exclusive:
    """Losses of classes that exclude each other: of the softmax; Dice losses in one form."""

    form: DiceForm = MONAI

    def dice(self, logits: Tensor, label_maps: Sequence[Tensor]) -> list[Tensor]:
        """Return ``dice_losses``."""
        return dice_losses(logits, label_maps, self.form)

    def dice_of_known(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return ``dice_of_known`` of the softmax."""
        return dice_of_known(torch.softmax(logits, dim=1), labels, self.form)

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return ``cross_entropy``."""
        return cross_entropy(logits, labels)


EXCLUSIVE = Exclusive()


def require_known(kind: str) -> None:
    """Raise ValueError unless ``kind`` is the name of a loss."""
    if kind not in KINDS:
        raise ValueError(f"there is no loss {kind!r}: choose {', '.join(KINDS[:-1])} or {KINDS[-1]}")


def named_loss(logits: Tensor, labels: Tensor, kind: str, has_ignored: bool = False) -> Tensor:
    """Return the loss of each sample, (B,): "dice", "cross_entropy", or their sum, "dice_ce"."""
    return named_losses(logits, [(labels, kind)], has_ignored)[0]


def named_losses(
    logits: Tensor, wanted: Sequence[tuple[Tensor, str]], has_ignored: bool = False, losses: VoxelLosses = EXCLUSIVE
) -> list[Tensor]:
    """Return losses of one network's logits (B, K, \\*spatial) against several label maps, each with its loss's name.

    A label map (b, \\*spatial) covers the first b samples and gives (b,). All Dice losses are computed in one pass.
    With ``has_ignored``, label maps may contain IGNORE: losses are then as if these voxels did not exist, at the cost
    of the softmax's memory; a sample without other voxels has loss 0. ``losses`` are those of the task's coding, by
    default of exclusive classes. Raises ValueError for an unknown name.
    """
    for _, kind in wanted:
        require_known(kind)
    if has_ignored:
        return [_known_loss(logits[: len(labels)], labels, kind, losses) for labels, kind in wanted]
    dice = iter(losses.dice(logits, [labels for labels, kind in wanted if kind != "cross_entropy"]))
    found = []
    for labels, kind in wanted:
        if kind == "dice":
            found.append(next(dice))
            continue
        first = logits if len(labels) == len(logits) else logits[: len(labels)]
        entropy = losses.cross_entropy(first, labels)
        found.append(entropy if kind == "cross_entropy" else next(dice) + entropy)
    return found


def _known_loss(logits: Tensor, labels: Tensor, kind: str, losses: VoxelLosses) -> Tensor:
    dice = entropy = logits.new_zeros(len(labels))
    if kind != "cross_entropy":
        dice = losses.dice_of_known(logits, labels)
    if kind != "dice":
        voxels = (labels != IGNORE).flatten(1).sum(dim=1).clamp_min(1)
        entropy = losses.cross_entropy(logits, labels) * labels.shape[1:].numel() / voxels
    return dice + entropy
