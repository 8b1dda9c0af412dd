"""MONAI's BasicUNet."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, field_validator
from torch import nn

from semiseg.backbones._five_levels import five_level_problems
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.split import Upsampling
from semiseg.strategy_parts.upsampling import replace_upsampling
from semiseg.types import Task


class BasicUNet(Backbone):
    """MONAI's BasicUNet in 2D or 3D: two convolutions at each of five levels, the first at full resolution.

    Falk et al. 2019 (doi:10.1038/s41592-018-0261-2) after Ronneberger et al. 2015 (arXiv:1505.04597). The defaults are
    those of the reference study's public code (lidialuq/brats-semisup, network/network.py): LeakyReLU with slope 0.01
    and instance normalization without learned scale and shift. ``unet`` is a different network: residual, with strided
    convolutions instead of max pooling, and with its first level at half the resolution.
    """

    class Options(ComponentOptions):
        """Sizes of the network."""

        features: Annotated[tuple[PositiveInt, ...], Field(min_length=6, max_length=6)] = (16, 32, 64, 128, 256, 32)
        """Channels of each of the five levels, top first, and of the decoder's last level."""
        norm: Literal["instance", "batch"] = "instance"
        """Normalization."""
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Dropout probability, in every block of convolution, normalization and activation."""
        upsampling: Upsampling = "transposed"
        """Upsampling between levels: transposed convolutions (MONAI), or interpolation and a convolution."""

        @field_validator("features")
        @classmethod
        def _can_be_halved(cls, features: tuple[int, ...]) -> tuple[int, ...]:
            if 1 in features[2:5]:
                raise ValueError("upsampling halves the channels of levels 3 to 5: give each at least 2")
            return features

    capabilities: ClassVar[frozenset[str]] = frozenset({"split", "scales", "upsampling"})

    def build(self, task: Task) -> nn.Module:
        """Return a network for the task."""
        from semiseg.backbones._split_basic_unet import SplitBasicUNet

        o = self.options
        network = SplitBasicUNet(
            spatial_dims=task.spatial_dims,
            in_channels=task.in_channels,
            out_channels=task.out_channels,
            features=o.features,
            act=("LeakyReLU", {"negative_slope": 0.01, "inplace": True}),
            norm=o.norm,
            dropout=o.dropout,
        )
        replace_upsampling(network, o.upsampling)
        return network

    def patch_problems(self, task: Task) -> list[str]:
        """Report patch sides not divisible by 16, or a single voxel at the lowest level."""
        return five_level_problems(task)
