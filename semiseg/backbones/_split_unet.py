"""MONAI's UNet in parts: nested (down, skip around the next level, up). Weights and outputs are unchanged."""

from collections.abc import Iterator
from typing import Any

import torch
from monai.networks.nets.unet import UNet
from torch import Tensor, nn

from semiseg.interfaces.split import Level, SplitNetwork
from semiseg.interfaces.topology import cumulative_strides, per_axis

_NEXT = "1.submodule"
"""Path of the next level within a level's Sequential: inside the skip connection."""


class SplitUNet(SplitNetwork, UNet):  # type: ignore[misc]
    """MONAI's UNet with its parts.

    The encoder consists of the downward blocks and the bottom. The decoded features of a level are the input of its
    upward block: the skip's features concatenated with those from below. The head is the last upward block, which also
    doubles the resolution.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        names = [name for name, _ in self._nested()]
        bottom = f"{names[-1]}.{_NEXT}"
        self.parts = {
            "encoder": (*(f"{name}.0" for name in names), bottom),
            "decoder": tuple(f"{name}.2" for name in names[1:]),
            "head": (f"{names[0]}.2",),
        }
        channels, levels = [*self.channels], []
        factors = cumulative_strides(per_axis(stride, self.dimensions) for stride in self.strides)
        for index, factor in enumerate(factors):
            below = channels[index] if index < len(self.strides) - 1 else channels[index + 1]
            levels.append(Level(channels[index] + below, factor))
        self.levels = tuple(levels)

    def _nested(self) -> Iterator[tuple[str, nn.Module]]:
        name, level = "model", self.model
        while isinstance(level, nn.Sequential) and len(level) == 3 and hasattr(level[1], "submodule"):
            yield name, level
            name, level = f"{name}.{_NEXT}", level[1].submodule

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features of each level, finest first, and of the bottom."""
        features = []
        below: Any = None
        for _, level in self._nested():
            images = level[0](images)  # type: ignore[index]
            features.append(images)
            below = level[1].submodule  # type: ignore[index]
        return (*features, below(images))

    def decode(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return at each level, finest first, the skip's features concatenated with those from below."""
        *skips, x = features
        decoded = []
        for (_, level), skip in zip(reversed(list(self._nested())), reversed(skips), strict=True):
            joined = torch.cat([skip, x], dim=1)
            decoded.append(joined)
            if len(decoded) < len(skips):
                x = level[2](joined)  # type: ignore[index]
        return tuple(reversed(decoded))

    def classify(self, decoded: tuple[Tensor, ...]) -> Tensor:
        """Return the logits, from the last upward block."""
        logits: Tensor = self.model[2](decoded[0])
        return logits
