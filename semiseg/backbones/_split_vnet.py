"""MONAI's V-Net in parts; weights and outputs are identical to MONAI's."""

from typing import Any

from monai.networks.nets.vnet import VNet
from torch import Tensor, nn

from semiseg.interfaces.split import Level, SplitNetwork

_DOWN = ("in_tr", "down_tr32", "down_tr64", "down_tr128", "down_tr256")
_UP = ("up_tr256", "up_tr128", "up_tr64", "up_tr32")


class SplitVNet(SplitNetwork, VNet):  # type: ignore[misc]
    """MONAI's V-Net with its parts: the downward transitions, the upward ones, and the output transition."""

    def __init__(self, *, spatial_dims: int, **options: Any) -> None:
        super().__init__(spatial_dims=spatial_dims, **options)
        if spatial_dims == 2:
            _drop_channels(self)
        self.parts = {"encoder": _DOWN, "decoder": _UP, "head": ("out_tr",)}
        self.levels = tuple(Level(c, (f,) * spatial_dims) for c, f in ((32, 1), (64, 2), (128, 4), (256, 8)))

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
        """Return the logits, from the output transition."""
        logits: Tensor = self.out_tr(decoded[0])
        return logits


def _drop_channels(network: nn.Module) -> None:
    # MONAI 1.6 drops with Dropout3d in 2D as well, which takes the samples of a 2D batch for channels.
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Dropout3d):
            network.set_submodule(name, nn.Dropout2d(module.p))
