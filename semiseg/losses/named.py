"""The losses that strategies offer by name."""

from torch import Tensor

from semiseg.losses.cross_entropy import cross_entropy
from semiseg.losses.dice import dice_loss


def named_loss(logits: Tensor, labels: Tensor, kind: str) -> Tensor:
    """The loss of each sample, (B,): "dice", "cross_entropy", or their sum, "dice_ce"."""
    if kind == "dice":
        return dice_loss(logits, labels)
    if kind == "cross_entropy":
        return cross_entropy(logits, labels)
    return dice_loss(logits, labels) + cross_entropy(logits, labels)
