"""The interface of a coding: what logits mean, from probabilities to losses and label maps."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from semiseg.losses.named import VoxelLosses, named_losses


class Coding(ABC):
    """What a task's logits (n, K, \\*spatial) mean.

    Label maps hold class indices under every coding, and pseudo-labels are label maps: mixing, storing and connected
    components do not depend on it.
    """

    voxel_losses: VoxelLosses
    """The losses of logits that strategies offer by name."""

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the outputs, shaped like the logits."""

    @abstractmethod
    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Return log-probabilities (n, V, S, \\*spatial) of V independent variables with S states each.

        Classes are one variable with K states; regions are K variables with two states, outside and inside.
        """

    @abstractmethod
    def states(self, probabilities: Tensor) -> Tensor:
        """Return probabilities (n, K, \\*spatial) as (n, V, S, \\*spatial), as ``log_probabilities``."""

    @abstractmethod
    def n_states(self, n_outputs: int) -> int:
        """Return S, the number of states of each variable, for a number of outputs."""

    @abstractmethod
    def hard(self, logits: Tensor) -> Tensor:
        """Return the pseudo-label: class indices (n, \\*spatial) uint8."""

    @abstractmethod
    def confidence(self, logits: Tensor) -> Tensor:
        """Return the probability of the pseudo-label at each voxel, (n, \\*spatial)."""

    @abstractmethod
    def decide(self, probabilities: Tensor) -> Tensor:
        """Return the label map (\\*spatial) uint8 of the probabilities (K, \\*spatial) of one image."""

    @abstractmethod
    def certainty(self, probabilities: Tensor) -> Tensor:
        """Return the ``confidence`` of ``decide``'s label map (\\*spatial), from the probabilities (K, \\*spatial)."""

    @abstractmethod
    def background(self, n_outputs: int) -> Tensor:
        """Return the probabilities (K,) float32 of a voxel that is surely background."""

    @abstractmethod
    def dice_of_probabilities(
        self, probabilities: Tensor, labels: Tensor, has_ignored: bool = False, weights: Tensor | None = None
    ) -> Tensor:
        """Return Dice losses (n,) of probabilities (n, K, \\*spatial); with ``has_ignored`` without IGNORE voxels.

        ``weights``: factors (K,) of the outputs' losses, by which the mean is not divided; by default all 1.
        """

    @abstractmethod
    def sharpened(self, logits: Tensor, temperature: float) -> Tensor:
        """Return the probabilities to the power of 1 / temperature, normalized again over each variable's states."""

    def loss(self, logits: Tensor, labels: Tensor, kind: str, has_ignored: bool = False) -> Tensor:
        """Return the loss of each sample, (n,), by name; see ``named_losses``."""
        return self.losses(logits, [(labels, kind)], has_ignored)[0]

    def losses(self, logits: Tensor, wanted: Sequence[tuple[Tensor, str]], has_ignored: bool = False) -> list[Tensor]:
        """Return losses of logits against several label maps, each with its loss's name; see ``named_losses``."""
        return named_losses(logits, wanted, has_ignored, self.voxel_losses)
