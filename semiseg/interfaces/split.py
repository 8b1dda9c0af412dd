"""Networks in three parts, encoder, decoder and head, so that a strategy can add decoders and heads to any of them."""

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
    """One level of a decoder: its number of channels, and how many image voxels one of its voxels spans an axis."""

    channels: int
    factor: Shape


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What a network with more than one output gives.

    Attributes:
        logits: (B, K, X, Y, Z), what the network predicts.
        decoders: logits of further decoders, each of the same shape.
        scales: logits made from coarser levels, finest first, each brought to the same shape.
        heads: outputs of further heads by name, (B, C, X, Y, Z).
    """

    logits: Tensor
    decoders: tuple[Tensor, ...] = ()
    scales: tuple[Tensor, ...] = ()
    heads: Mapping[str, Tensor] = field(default_factory=dict)


class SplitNetwork(ABC):
    """What a network of a backbone with the capability "split" offers, beside being an ``nn.Module``.

    ``forward(images)`` equals ``classify(decode(encode(images)))``. The network stays one module with the weights that
    it has; ``parts`` says which of its modules belong to which part, so that ``keep`` can drop the others.
    """

    levels: tuple[Level, ...]
    """What ``decode`` gives, finest first; the head takes the first. For "scales" one is coarser than the image."""
    parts: Mapping[Part, tuple[str, ...]]
    """Names of the submodules of each part; every parameter belongs to just one."""
    __jit_ignored_attributes__ = ("levels", "parts")  # torch.jit.script knows no types for them, and forward needs none

    @abstractmethod
    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of images (B, C, X, Y, Z), finest first: all that a decoder needs."""

    @abstractmethod
    def decode(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The decoder's features, as in ``levels``, of what ``encode`` gave (of this network or of one like it)."""

    @abstractmethod
    def classify(self, decoded: tuple[Tensor, ...]) -> Tensor:
        """Logits (B, K, X, Y, Z) from the finest of what ``decode`` gave."""


def keep(network: nn.Module, *parts: Part) -> nn.Module:
    """The network with these parts alone: the modules of the others are dropped, in place.

    Raises TypeError for a network that is not split.
    """
    if not isinstance(network, SplitNetwork):
        raise TypeError(f"{type(network).__name__} is no SplitNetwork: its backbone does not offer 'split'")
    for part, names in network.parts.items():
        if part not in parts:
            for name in names:
                network.set_submodule(name, nn.Identity())
    return network
