"""Classes that exclude each other: softmax and argmax."""

import torch
from torch import Tensor

from semiseg.codings.coding import Coding
from semiseg.losses.dice import dice_from_probabilities, dice_of_known
from semiseg.losses.dice_form import MONAI, DiceForm
from semiseg.losses.named import Exclusive


class Classes(Coding):
    """One output per class, background included; each voxel belongs to exactly one.

    Args:
        form: the classes and samples of the Dice losses' sums.
    """

    def __init__(self, form: DiceForm = MONAI) -> None:
        self.voxel_losses = Exclusive(form)
        self._form = form

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the softmax over classes."""
        return torch.softmax(logits, dim=1)

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Return log-probabilities of one variable, (n, 1, K, \\*spatial)."""
        return torch.log_softmax(logits, dim=1).unsqueeze(1)

    def states(self, probabilities: Tensor) -> Tensor:
        """Return one variable, (n, 1, K, \\*spatial)."""
        return probabilities.unsqueeze(1)

    def n_states(self, n_outputs: int) -> int:
        """Return the number of classes."""
        return n_outputs

    def hard(self, logits: Tensor) -> Tensor:
        """Return the most probable class."""
        return torch.argmax(logits, dim=1).to(torch.uint8)

    def confidence(self, logits: Tensor) -> Tensor:
        """Return the probability of the most probable class."""
        return (logits.amax(dim=1) - logits.logsumexp(dim=1)).exp()

    def decide(self, probabilities: Tensor) -> Tensor:
        """Return the class with the highest probability."""
        return highest(probabilities)

    def certainty(self, probabilities: Tensor) -> Tensor:
        """Return the highest probability."""
        return probabilities.amax(dim=0)

    def background(self, n_outputs: int) -> Tensor:
        """Return 1 for the first class."""
        return torch.eye(n_outputs)[0]

    def dice_of_probabilities(
        self, probabilities: Tensor, labels: Tensor, has_ignored: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean over classes."""
        return (dice_of_known if has_ignored else dice_from_probabilities)(probabilities, labels, self._form, weights)

    def sharpened(self, logits: Tensor, temperature: float) -> Tensor:
        """Return the softmax of logits / temperature, which is finite at every temperature."""
        return torch.softmax(logits / temperature, dim=1)


CLASSES = Classes()
"""The coding of a strategy that was not given another."""


def highest(probabilities: Tensor) -> Tensor:
    """Return the class with the highest of (K, \\*spatial), the first if equal: (\\*spatial) uint8; K <= 256.

    ``argmax`` over the first axis reads memory in strides and takes several times as long.
    """
    best, labels = probabilities[0].clone(), torch.zeros_like(probabilities[0], dtype=torch.uint8)
    for index, values in enumerate(probabilities[1:], 1):
        labels.masked_fill_(values > best, index)
        torch.maximum(best, values, out=best)
    return labels
