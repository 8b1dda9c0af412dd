"""MONAI's residual UNet."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator
from torch import nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.split import Upsampling
from semiseg.strategy_parts.upsampling import replace_upsampling
from semiseg.types import Task


class UNet(Backbone):
    """MONAI's residual UNet in 2D or 3D, with the sizes of its tutorials as defaults.

    Kerfoot et al. 2019 (doi:10.1007/978-3-030-12029-0_40) after Ronneberger et al. 2015 (arXiv:1505.04597). Instance
    normalization: a sample's logits do not depend on the rest of the batch.
    """

    class Options(ComponentOptions):
        """Sizes of the network."""

        channels: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (16, 32, 64, 128, 256)
        """Channels of each level, top first."""
        strides: tuple[PositiveInt, ...] = (2, 2, 2, 2)
        """Downsampling between levels; one fewer than channels."""
        num_res_units: Annotated[int, Field(ge=0)] = 2
        """Residual units per level; 0 for plain convolutions."""
        norm: Literal["instance", "batch"] = "instance"
        """Normalization."""
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Dropout probability."""
        upsampling: Upsampling = "transposed"
        """Upsampling between levels: transposed convolutions (MONAI), or interpolation and a convolution."""

        @model_validator(mode="after")
        def _sizes(self) -> "UNet.Options":
            if len(self.strides) != len(self.channels) - 1:
                raise ValueError(f"{len(self.channels)} channels need {len(self.channels) - 1} strides")
            return self

    capabilities: ClassVar[frozenset[str]] = frozenset({"split", "scales", "upsampling"})

    def build(self, task: Task) -> nn.Module:
        """Return a network for the task."""
        from semiseg.backbones._split_unet import SplitUNet

        o = self.options
        network = SplitUNet(
            spatial_dims=task.spatial_dims,
            in_channels=task.in_channels,
            out_channels=task.out_channels,
            channels=o.channels,
            strides=o.strides,
            num_res_units=o.num_res_units,
            norm=o.norm,
            dropout=o.dropout,
        )
        replace_upsampling(network, o.upsampling)
        return network

    def patch_problems(self, task: Task) -> list[str]:
        """Report patch sides not divisible by the product of the strides, or a single voxel at the bottom."""
        factor = math.prod(self.options.strides)
        problems = [f"{n} is not a multiple of {factor}" for n in task.patch_size if n % factor]
        if not problems and all(n == factor for n in task.patch_size):
            problems.append(f"a patch of {factor} voxels leaves a single voxel at the lowest level: double one side")
        return problems
