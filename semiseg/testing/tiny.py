"""A small, smooth backbone with every capability, for tests of strategies."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.split import Level, SplitNetwork, Upsampling
from semiseg.strategy_parts.upsampling import replace_upsampling
from semiseg.types import Task

EMPTY_BATCH = "a network got an empty batch, which networks need not accept"


class TinyNetwork(SplitNetwork, nn.Module):
    """Two levels, 2D or 3D; logits do not depend on other samples of a batch, and every parameter has a gradient.

    With ``noisy``, both levels of the encoder end in batch normalization and dropout: logits depend on other samples,
    on random numbers, and in evaluation on running statistics.
    """

    def __init__(self, task: Task, noisy: bool = False) -> None:
        nn.Module.__init__(self)
        n = task.spatial_dims
        conv, transposed = (nn.Conv3d, nn.ConvTranspose3d) if n == 3 else (nn.Conv2d, nn.ConvTranspose2d)
        self.first: nn.Module = conv(task.in_channels, 4, 3, padding=1)
        self.down: nn.Module = conv(4, 6, 3, stride=2, padding=1)
        if noisy:
            norm = nn.BatchNorm3d if n == 3 else nn.BatchNorm2d
            self.first = nn.Sequential(self.first, norm(4), nn.Dropout(0.2))
            self.down = nn.Sequential(self.down, norm(6), nn.Dropout(0.2))
        self.up = transposed(6, 4, 2, stride=2)
        self.head = conv(8, task.out_channels, 1)
        self.levels = (Level(8, (1,) * n), Level(6, (2,) * n))
        self.parts = {"encoder": ("first", "down"), "decoder": ("up",), "head": ("head",)}

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return 4 channels at the resolution of (B, C, \\*spatial) images and 6 at half of it."""
        if not len(images):
            raise ValueError(EMPTY_BATCH)
        fine = self.first(images).tanh()
        return fine, self.down(fine).tanh()

    def decode(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return 8 channels at the image's resolution and 6 at half of it."""
        fine, coarse = features
        return torch.cat([fine, self.up(coarse).tanh()], dim=1), coarse

    def classify(self, decoded: tuple[Tensor, ...]) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(decoded[0])
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, C, \\*spatial) to (B, K, \\*spatial); sides must be even.

        Raises ValueError for an empty batch, as networks may.
        """
        return self.classify(self.decode(self.encode(images)))


class TinyBackbone(Backbone):
    """The tiny network, with every capability."""

    class Options(ComponentOptions):
        """Upsampling of the decoder, and noise of the encoder."""

        upsampling: Upsampling = "transposed"
        """Upsampling from the coarse level to the fine one."""
        noisy: bool = False
        """Batch normalization and dropout."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"split", "scales", "upsampling"})

    def build(self, task: Task) -> nn.Module:
        """Build a network for the task."""
        network = TinyNetwork(task, self.options.noisy)
        replace_upsampling(network, self.options.upsampling)
        return network
