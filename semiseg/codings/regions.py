"""Regions that may overlap: sigmoid outputs, and label maps of the dataset's classes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.codings.coding import Coding
from semiseg.codings.region_table import class_table, members_of
from semiseg.losses.dice_form import MONAI, DiceForm
from semiseg.losses.regions import RegionLosses
from semiseg.types import IGNORE


class Regions(Coding):
    """One output per region, a union of foreground classes: sigmoid, threshold 0.5.

    A voxel's class follows from the set of regions it lies in (``class_table``).

    Args:
        regions: the class indices of each region, in the order of the outputs.
        n_classes: number of classes, including background.
        form: the regions and samples of the Dice losses' sums.
    """

    def __init__(self, regions: Sequence[Sequence[int]], n_classes: int, form: DiceForm = MONAI) -> None:
        self._losses = self.voxel_losses = RegionLosses(members_of(regions, n_classes), form)
        self._table = torch.tensor(class_table(regions, n_classes), dtype=torch.uint8)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the sigmoid."""
        return torch.sigmoid(logits)

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Return log-probabilities of outside and inside for each region, (n, R, 2, \\*spatial)."""
        return torch.stack([F.logsigmoid(-logits), F.logsigmoid(logits)], dim=2)

    def states(self, probabilities: Tensor) -> Tensor:
        """Return the probabilities of outside and inside for each region, (n, R, 2, \\*spatial)."""
        return torch.stack([1 - probabilities, probabilities], dim=2)

    def n_states(self, n_outputs: int) -> int:
        """Return 2: outside and inside."""
        return 2

    def hard(self, logits: Tensor) -> Tensor:
        """Return the class of the regions with a probability above 0.5."""
        return self._classes(logits > 0, dim=1)

    def confidence(self, logits: Tensor) -> Tensor:
        """Return the lowest probability, over regions, of what the pseudo-label says: p inside a region, 1 - p outside.

        It is below 0.5 where no class has the regions above 0.5, so that the pseudo-label contradicts one of them.
        """
        inside = self._losses.inside(self.hard(logits))
        return torch.sigmoid(torch.where(inside, logits, -logits)).amin(dim=1)

    def decide(self, probabilities: Tensor) -> Tensor:
        """Return the class of the regions with a probability above 0.5."""
        return self._classes(probabilities > 0.5, dim=0)

    def certainty(self, probabilities: Tensor) -> Tensor:
        """Return the lowest probability, over regions, of what the label map says, as ``confidence`` does."""
        inside = self._losses.inside(self.decide(probabilities)[None])[0]
        return torch.where(inside, probabilities, 1 - probabilities).amin(dim=0)

    def background(self, n_outputs: int) -> Tensor:
        """Return 0 for every region."""
        return torch.zeros(n_outputs)

    def dice_of_probabilities(
        self, probabilities: Tensor, labels: Tensor, has_ignored: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean over regions."""
        known = labels != IGNORE if has_ignored else None
        return self._losses.dice_of_probabilities(probabilities, labels, known, weights)

    def sharpened(self, logits: Tensor, temperature: float) -> Tensor:
        """Return the sigmoid of logits / temperature."""
        return torch.sigmoid(logits / temperature)

    def _classes(self, inside: Tensor, dim: int) -> Tensor:
        code = torch.zeros_like(inside.select(dim, 0), dtype=torch.int32)
        for bit, region in enumerate(inside.unbind(dim)):
            code += region.to(torch.int32) << bit
        return self._table.to(code.device)[code]
