"""MONAI's BasicUNet in parts; weights and outputs are identical to MONAI's."""

from typing import Any

from monai.networks.nets.basic_unet import BasicUNet
from torch import Tensor

from semiseg.interfaces.split import Level, SplitNetwork

_DOWN = ("conv_0", "down_1", "down_2", "down_3", "down_4")
_UP = ("upcat_4", "upcat_3", "upcat_2", "upcat_1")


class SplitBasicUNet(SplitNetwork, BasicUNet):  # type: ignore[misc]
    """MONAI's BasicUNet with its parts: the downward blocks, the upward ones, and the last convolution."""

    def __init__(self, *, features: tuple[int, ...], spatial_dims: int, **options: Any) -> None:
        super().__init__(features=features, spatial_dims=spatial_dims, **options)
        self.parts = {"encoder": _DOWN, "decoder": _UP, "head": ("final_conv",)}
        channels = (features[5], *features[1:4])
        self.levels = tuple(Level(c, (f,) * spatial_dims) for c, f in zip(channels, (1, 2, 4, 8), strict=True))

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return features of five levels, finest first."""
        features = []
        for name in _DOWN:
            images = getattr(self, name)(images)
            features.append(images)
        return tuple(features)

    def decode(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return features of four levels, finest first."""
        *skips, x = features
        decoded = []
        for name, skip in zip(_UP, reversed(skips), strict=True):
            x = getattr(self, name)(x, skip)
            decoded.append(x)
        return tuple(reversed(decoded))

    def classify(self, decoded: tuple[Tensor, ...]) -> Tensor:
        """Return the logits, from the last convolution."""
        logits: Tensor = self.final_conv(decoded[0])
        return logits
