"""The U-Nets of dynamic-network-architectures, callable in parts, with unchanged weights and outputs."""

from types import SimpleNamespace
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import (  # type: ignore[import-untyped]
    PlainConvUNet,
    ResidualEncoderUNet,
)
from dynamic_network_architectures.building_blocks.simple_conv_blocks import (  # type: ignore[import-untyped]
    ConvDropoutNormReLU,
)
from torch import Tensor, nn

from semiseg.plugin import Level, SplitNetwork, cumulative_strides


class _Split(SplitNetwork, nn.Module):
    """Parts of either network, initialized as in nnU-Net, with each parameter under a single name."""

    encoder: Any
    decoder: Any

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.apply(self.initialize)  # type: ignore[arg-type]
        channels, strides = self.encoder.output_channels, self.encoder.strides
        self.levels = tuple(Level(c, f) for c, f in zip(channels[:-1], cumulative_strides(strides[:-1]), strict=True))
        self.parts = {
            "encoder": ("encoder",),
            "decoder": ("decoder.transpconvs", "decoder.stages"),
            "head": ("decoder.seg_layers",),
        }
        _drop_unused_heads(self.decoder)
        _drop_second_names(self)

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the features of each stage, finest first."""
        return tuple(self.encoder(images))

    def decode(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the features of each stage but the lowest, finest first."""
        *skips, x = features
        decoded = []
        for up, stage, skip in zip(self.decoder.transpconvs, self.decoder.stages, reversed(skips), strict=True):
            x = stage(torch.cat([up(x), skip], dim=1))
            decoded.append(x)
        return tuple(reversed(decoded))

    def classify(self, decoded: tuple[Tensor, ...]) -> Tensor:
        """Return the logits of the last segmentation layer."""
        logits: Tensor = self.decoder.seg_layers[-1](decoded[0])
        return logits


class SplitPlainConvUNet(_Split, PlainConvUNet):  # type: ignore[misc]
    """``PlainConvUNet`` callable in parts."""


class SplitResidualEncoderUNet(_Split, ResidualEncoderUNet):  # type: ignore[misc]
    """``ResidualEncoderUNet`` callable in parts."""


def _drop_unused_heads(decoder: Any) -> None:
    # These heads serve deep supervision and get no gradient without it. The last keeps its name, for nnU-Net's weights.
    for index in range(len(decoder.seg_layers) - 1):
        decoder.seg_layers[index] = nn.Identity()


def _drop_second_names(network: Any) -> None:
    # The decoder holds the encoder, and a block holds its layers in addition to the Sequential that runs them: a state
    # dict would contain the encoder's weights four times, and a dropped encoder would stay in memory.
    encoder = network.decoder.encoder
    del network.decoder.encoder
    network.decoder.encoder = SimpleNamespace(strides=encoder.strides, output_channels=encoder.output_channels)
    for block in list(network.modules()):
        if isinstance(block, ConvDropoutNormReLU):
            for name in [name for name, _ in block.named_children() if name != "all_modules"]:
                delattr(block, name)
