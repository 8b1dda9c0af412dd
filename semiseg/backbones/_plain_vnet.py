"""A V-Net without residual connections, in parts."""

from functools import partial

from monai.networks.blocks.convolutions import Convolution
from torch import Tensor, nn

from semiseg.interfaces.split import Level, SplitNetwork

CONVOLUTIONS = (1, 2, 3, 3, 3)
"""Convolutions of each level, top first; the decoder's levels have as many as the encoder's."""


class PlainVNet(SplitNetwork, nn.Module):
    """A V-Net of plain convolutions whose decoder adds the encoder's features.

    The parts are the levels down, the levels up, and the last convolution. Whole channels are dropped at the end of the
    lowest level and at the end of the decoder.
    """

    def __init__(
        self,
        *,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        channels: tuple[int, ...],
        norm: str,
        dropout: float,
    ) -> None:
        super().__init__()
        block = partial(Convolution, spatial_dims, act="relu", norm=norm, adn_ordering="NA")
        halving = partial(block, strides=2, kernel_size=2, padding=0)
        doubling = partial(halving, is_transposed=True, output_padding=0)
        drop = partial(nn.Dropout2d if spatial_dims == 2 else nn.Dropout3d, dropout)
        bottom = len(channels) - 1

        self.encoder = nn.ModuleList()
        for index, count in enumerate(CONVOLUTIONS):
            c = channels[index]
            first = block(in_channels, c) if index == 0 else halving(channels[index - 1], c)
            rest = [block(c, c) for _ in range(count - 1 if index == 0 else count)]
            self.encoder.append(nn.Sequential(first, *rest, *([drop()] if index == bottom else [])))

        self.decoder = nn.ModuleList()
        for index in reversed(range(bottom)):
            c = channels[index]
            convolutions = [block(c, c) for _ in range(CONVOLUTIONS[index])]
            ending = [drop()] if index == 0 else []
            self.decoder.append(_Up(doubling(channels[index + 1], c), nn.Sequential(*convolutions, *ending)))

        self.head = (nn.Conv2d if spatial_dims == 2 else nn.Conv3d)(channels[0], out_channels, 1)
        self.parts = {"encoder": ("encoder",), "decoder": ("decoder",), "head": ("head",)}
        self.levels = tuple(Level(c, (2**index,) * spatial_dims) for index, c in enumerate(channels[:-1]))

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, \\*spatial) to (B, K, \\*spatial); sides must be multiples of 16."""
        logits: Tensor = self.head(self._up(self._down(images))[-1])
        return logits

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return features of five levels, finest first."""
        return tuple(self._down(images))

    def decode(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return features of four levels, finest first."""
        return tuple(reversed(self._up(list(features))))

    def classify(self, decoded: tuple[Tensor, ...]) -> Tensor:
        """Return the logits, from the last convolution."""
        logits: Tensor = self.head(decoded[0])
        return logits

    # Lists, because torch.jit.script knows no tuples of any length.
    def _down(self, images: Tensor) -> list[Tensor]:
        features: list[Tensor] = []
        for level in self.encoder:
            images = level(images)
            features.append(images)
        return features

    def _up(self, features: list[Tensor]) -> list[Tensor]:
        """Return features of each level, coarsest first."""
        decoded: list[Tensor] = []
        x = features[-1]
        for index, level in enumerate(self.decoder):
            x = level(x, features[-2 - index])
            decoded.append(x)
        return decoded


class _Up(nn.Module):
    """One level of the decoder."""

    def __init__(self, upsampling: nn.Module, convolutions: nn.Module) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.convolutions = convolutions

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        out: Tensor = self.convolutions(self.upsampling(x) + skip)
        return out
