"""The losses that strategies offer by name."""

from collections.abc import Sequence

from torch import Tensor

from semiseg.losses.cross_entropy import cross_entropy
from semiseg.losses.dice import dice_losses


def named_loss(logits: Tensor, labels: Tensor, kind: str) -> Tensor:
    """Return the loss of each sample, (B,): "dice", "cross_entropy", or their sum, "dice_ce"."""
    return named_losses(logits, [(labels, kind)])[0]


def named_losses(logits: Tensor, wanted: Sequence[tuple[Tensor, str]]) -> list[Tensor]:
    """Return losses of one network's logits (B, K, X, Y, Z) against several label maps, each with its loss's name.

    A label map (b, X, Y, Z) covers the first b samples and gives (b,). All Dice losses are computed in one pass.
    """
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
