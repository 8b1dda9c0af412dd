"""The V-Net of the semi-supervised papers on the left atrium."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt
from torch import nn

from semiseg.backbones._five_levels import five_level_problems
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.split import Upsampling
from semiseg.strategy_parts.upsampling import replace_upsampling
from semiseg.types import Task


class VNetLA(Backbone):
    """The V-Net of the left-atrium papers, in 2D or 3D.

    Yu et al. 2019 (arXiv:1907.07034), as in their public code (yulequan/UA-MT, networks/vnet.py, with batch
    normalization and dropout). They call it V-Net after Milletari et al. 2016 (arXiv:1606.04797), but it has no
    residual connections, and the decoder adds the encoder's features instead of concatenating them. Its five levels
    have 1, 2, 3, 3 and 3 convolutions with kernel 3, in encoder and decoder. Convolutions with kernel 2 and stride 2
    lead down, transposed ones up. Normalization and ReLU follow each of them. For one modality and two classes the 3D
    network has 9,448,866 parameters, as in that code. ``vnet`` is MONAI's V-Net, a different network.

    Batch normalization: in training, a sample's logits depend on the rest of the batch, and the running statistics
    belong to the state.
    """

    class Options(ComponentOptions):
        """Sizes of the network."""

        channels: Annotated[tuple[PositiveInt, ...], Field(min_length=5, max_length=5)] = (16, 32, 64, 128, 256)
        """Channels of each of the five levels, top first."""
        norm: Literal["batch", "instance"] = "batch"
        """Normalization."""
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
        """Probability that a whole channel is dropped, at the end of the lowest level and before the last
        convolution."""
        upsampling: Upsampling = "transposed"
        """Upsampling between levels: transposed convolutions, or interpolation and a convolution."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"split", "scales", "upsampling"})

    def build(self, task: Task) -> nn.Module:
        """Return a network for the task."""
        from semiseg.backbones._plain_vnet import PlainVNet

        o = self.options
        network = PlainVNet(
            spatial_dims=task.spatial_dims,
            in_channels=task.in_channels,
            out_channels=task.out_channels,
            channels=o.channels,
            norm=o.norm,
            dropout=o.dropout,
        )
        replace_upsampling(network, o.upsampling)
        return network

    def patch_problems(self, task: Task) -> list[str]:
        """Report patch sides not divisible by 16, or a single voxel at the lowest level."""
        return five_level_problems(task)
