"""MONAI's residual UNet."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator
from torch import nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.split import Upsampling
from semiseg.interfaces.topology import cumulative_strides, per_axis, planned_topology
from semiseg.strategy_parts.upsampling import replace_upsampling
from semiseg.types import Task

PerAxis = Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=3)]


class UNet(Backbone):
    """MONAI's residual UNet in 2D or 3D, with the sizes of its tutorials as defaults.

    Kerfoot et al. 2019 (doi:10.1007/978-3-030-12029-0_40) after Ronneberger et al. 2015 (arXiv:1505.04597). Instance
    normalization: a sample's logits do not depend on the rest of the batch.
    """

    class Options(ComponentOptions):
        """Sizes of the network."""

        channels: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (16, 32, 64, 128, 256)
        """Channels of each level, top first. With strides auto, the last number applies to all further levels."""
        strides: Literal["auto"] | tuple[PositiveInt | PerAxis, ...] = (2, 2, 2, 2)
        """Downsampling between levels, one fewer than channels: a number, or one for each axis of the patch. auto: as
        nnU-Net plans them from patch and voxel size, so that coarse axes are halved later."""
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
            if self.strides != "auto" and len(self.strides) != len(self.channels) - 1:
                raise ValueError(f"{len(self.channels)} channels need {len(self.channels) - 1} strides")
            return self

    capabilities: ClassVar[frozenset[str]] = frozenset({"split", "scales", "upsampling"})

    def build(self, task: Task) -> nn.Module:
        """Return a network for the task."""
        from semiseg.backbones._split_unet import SplitUNet

        o = self.options
        strides = self._strides(task)
        network = SplitUNet(
            spatial_dims=task.spatial_dims,
            in_channels=task.in_channels,
            out_channels=task.out_channels,
            channels=self._channels(len(strides)),
            strides=strides,
            num_res_units=o.num_res_units,
            norm=o.norm,
            dropout=o.dropout,
        )
        replace_upsampling(network, o.upsampling)
        return network

    def patch_problems(self, task: Task) -> list[str]:
        """Report patch sides not divisible by the product of the strides, or a single voxel at the bottom."""
        strides = self._strides(task)
        if any(isinstance(stride, tuple) and len(stride) != task.spatial_dims for stride in strides):
            return [f"strides must have a number for each of its {task.spatial_dims} sides"]
        if not strides:
            return ["it is too small to be halved: make a side at least 8"]
        factors = cumulative_strides(per_axis(stride, task.spatial_dims) for stride in strides)[-1]
        problems = [f"{n} is not a multiple of {f}" for n, f in zip(task.patch_size, factors, strict=True) if n % f]
        if not problems and task.patch_size == factors:
            size = " x ".join(map(str, factors)) if len(set(factors)) > 1 else str(factors[0])
            problems.append(f"a patch of {size} voxels leaves a single voxel at the lowest level: double one side")
        return problems

    def planned(self, task: Task) -> str:
        """Return the levels with strides auto."""
        if self.options.strides != "auto":
            return ""
        steps = ["x".join(map(str, per_axis(stride, task.spatial_dims))) for stride in self._strides(task)]
        return f"{len(steps) + 1} levels, downsampled by {', '.join(steps)}"

    def _strides(self, task: Task) -> tuple[int | tuple[int, ...], ...]:
        if self.options.strides != "auto":
            return tuple(self.options.strides)
        return planned_topology(task.patch_size, task.spacing).strides[1:]

    def _channels(self, below: int) -> tuple[int, ...]:
        given = tuple(self.options.channels)
        return (*given, *given[-1:] * (below + 1 - len(given)))[: below + 1]
