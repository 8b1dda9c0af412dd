"""The losses that strategies offer by name."""

from collections.abc import Sequence

import torch
from torch import Tensor

from semiseg.losses.cross_entropy import cross_entropy
from semiseg.losses.dice import dice_from_probabilities, dice_losses
from semiseg.types import IGNORE

KINDS = ("dice", "cross_entropy", "dice_ce")


def require_known(kind: str) -> None:
    """Raise ValueError unless ``kind`` is the name of a loss."""
    if kind not in KINDS:
        raise ValueError(f"there is no loss {kind!r}: choose {', '.join(KINDS[:-1])} or {KINDS[-1]}")


def named_loss(logits: Tensor, labels: Tensor, kind: str, has_ignored: bool = False) -> Tensor:
    """Return the loss of each sample, (B,): "dice", "cross_entropy", or their sum, "dice_ce"."""
    return named_losses(logits, [(labels, kind)], has_ignored)[0]


def named_losses(logits: Tensor, wanted: Sequence[tuple[Tensor, str]], has_ignored: bool = False) -> list[Tensor]:
    """Return losses of one network's logits (B, K, \\*spatial) against several label maps, each with its loss's name.

    A label map (b, \\*spatial) covers the first b samples and gives (b,). All Dice losses are computed in one pass.
    With ``has_ignored``, label maps may contain IGNORE: losses are then as if these voxels did not exist, at the cost
    of the softmax's memory; a sample without other voxels has loss 0. Raises ValueError for an unknown name.
    """
    for _, kind in wanted:
        require_known(kind)
    if has_ignored:
        return [_known_loss(logits[: len(labels)], labels, kind) for labels, kind in wanted]
    dice = iter(dice_losses(logits, [labels for labels, kind in wanted if kind != "cross_entropy"]))
    losses = []
    for labels, kind in wanted:
        if kind == "dice":
            losses.append(next(dice))
            continue
        first = logits if len(labels) == len(logits) else logits[: len(labels)]
        entropy = cross_entropy(first, labels)
        losses.append(entropy if kind == "cross_entropy" else next(dice) + entropy)
    return losses


def _known_loss(logits: Tensor, labels: Tensor, kind: str) -> Tensor:
    known = labels != IGNORE
    dice = entropy = logits.new_zeros(len(labels))
    if kind != "cross_entropy":
        dice = dice_from_probabilities(torch.softmax(logits, dim=1) * known[:, None], labels)
    if kind != "dice":
        voxels = known.flatten(1).sum(dim=1).clamp_min(1)
        entropy = cross_entropy(logits, labels) * labels.shape[1:].numel() / voxels
    return dice + entropy
