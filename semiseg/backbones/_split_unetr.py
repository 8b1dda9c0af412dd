"""MONAI's UNETR in parts; weights and outputs are identical to MONAI's."""

from typing import Any

from monai.networks.nets.unetr import UNETR
from torch import Tensor

from semiseg.interfaces.split import Level, SplitNetwork


class SplitUNETR(SplitNetwork, UNETR):  # type: ignore[misc]
    """MONAI's UNETR with its parts: the transformer and the blocks on its layers, the upward blocks, and the output."""

    def __init__(self, *, feature_size: int, spatial_dims: int, **options: Any) -> None:
        super().__init__(feature_size=feature_size, spatial_dims=spatial_dims, **options)
        self.parts = {
            "encoder": ("vit", "encoder1", "encoder2", "encoder3", "encoder4"),
            "decoder": ("decoder5", "decoder4", "decoder3", "decoder2"),
            "head": ("out",),
        }
        self.levels = tuple(Level(feature_size * f, (f,) * spatial_dims) for f in (1, 2, 4, 8))

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return features of five levels, finest first; the last are the transformer's."""
        x, hidden = self.vit(images)
        blocks = (self.encoder2, self.encoder3, self.encoder4)
        middle = [block(self.proj_feat(hidden[layer])) for block, layer in zip(blocks, (3, 6, 9), strict=True)]
        return self.encoder1(images), *middle, self.proj_feat(x)

    def decode(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return features of four levels, finest first."""
        *skips, x = features
        decoded = []
        for block, skip in zip(
            (self.decoder5, self.decoder4, self.decoder3, self.decoder2), reversed(skips), strict=True
        ):
            x = block(x, skip)
            decoded.append(x)
        return tuple(reversed(decoded))

    def classify(self, decoded: tuple[Tensor, ...]) -> Tensor:
        """Return the logits, from the output block."""
        logits: Tensor = self.out(decoded[0])
        return logits
