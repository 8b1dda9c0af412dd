"""Networks in three parts (encoder, decoder, head), so that a strategy can add decoders and heads to any of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from semiseg.types import Shape

Part = Literal["encoder", "decoder", "head"]
Upsampling = Literal["transposed", "trilinear", "nearest"]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a decoder: its number of channels, and the size of its voxels in image voxels along each axis."""

    channels: int
    factor: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """All outputs of a network with more than one.

    Attributes:
        logits: (B, K, \\*spatial), the network's prediction.
        decoders: logits of additional decoders, each of the same shape.
        scales: logits from coarser levels, finest first, each resampled to the same shape.
        heads: outputs of additional heads by name, (B, C, \\*spatial).
    """

    logits: Tensor
    decoders: tuple[Tensor, ...] = ()
    scales: tuple[Tensor, ...] = ()
    heads: Mapping[str, Tensor] = field(default_factory=dict)


class SplitNetwork(ABC):
    """The interface of networks with the capability "split", in addition to ``nn.Module``.

    ``forward(images)`` equals ``classify(decode(encode(images)))``. The network remains one module with unchanged
    weights; ``parts`` maps each part to its submodules, so that ``keep`` can remove the others.
    """

    levels: tuple[Level, ...]
    """The levels of the decoded features, finest first; the head uses the first.

    With the capability "scales", one is coarser than the image.
    """
    parts: Mapping[Part, tuple[str, ...]]
    """Names of the submodules of each part; every parameter belongs to exactly one."""
    __jit_ignored_attributes__ = ("levels", "parts")  # torch.jit.script has no types for them; unused in forward

    @abstractmethod
    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return features of images (B, C, \\*spatial), finest first: everything a decoder needs."""

    @abstractmethod
    def decode(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the decoder's features, as in ``levels``, from this or a similar network's ``encode`` output."""

    @abstractmethod
    def classify(self, decoded: tuple[Tensor, ...]) -> Tensor:
        """Return logits (B, K, \\*spatial) from the finest of the decoder's features."""


def keep(network: nn.Module, *parts: Part) -> nn.Module:
    """Keep only these parts of a network, in place: the modules of the others are removed. Returns the network.

    Raises TypeError for a network that is not split.
    """
    if not isinstance(network, SplitNetwork):
        raise TypeError(f"{type(network).__name__} is not a SplitNetwork: its backbone does not offer 'split'")
    for part, names in network.parts.items():
        if part not in parts:
            for name in names:
                network.set_submodule(name, nn.Identity())
    return network
