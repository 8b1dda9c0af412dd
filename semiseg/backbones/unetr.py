"""MONAI's UNETR."""

from typing import Annotated, ClassVar

from pydantic import Field, PositiveInt, model_validator
from torch import nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.split import Upsampling
from semiseg.strategy_parts.upsampling import replace_upsampling
from semiseg.types import Task

TOKEN = 16


class UNETR(Backbone):
    """MONAI's UNETR in 2D or 3D: a transformer encoder and a convolutional decoder.

    Hatamizadeh et al. 2022 (arXiv:2103.10504), MONAI's defaults. A network is built for one patch size. Without
    dropout, it uses torch's fused attention: the same function, without storing the attention matrices.
    """

    class Options(ComponentOptions):
        """Sizes of the network; MONAI's defaults."""

        feature_size: PositiveInt = 16
        """Channels of the decoder's last level."""
        hidden_size: PositiveInt = 768
        """Width of the transformer."""
        mlp_dim: PositiveInt = 3072
        """Width of its feed-forward layers."""
        num_heads: PositiveInt = 12
        """Attention heads."""
        dropout_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Dropout probability."""
        upsampling: Upsampling = "transposed"
        """Upsampling between levels: transposed convolutions (MONAI), or interpolation and a convolution."""

        @model_validator(mode="after")
        def _heads(self) -> "UNETR.Options":
            if self.hidden_size % self.num_heads:
                raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}")
            return self

    capabilities: ClassVar[frozenset[str]] = frozenset({"split", "scales", "upsampling"})
    unused_parameters: ClassVar[frozenset[str]] = frozenset({"norm_cross_attn"})

    def build(self, task: Task) -> nn.Module:
        """Return a network for the task's patch size."""
        from semiseg.backbones._split_unetr import SplitUNETR

        o = self.options
        network = SplitUNETR(
            in_channels=task.in_channels,
            out_channels=task.out_channels,
            img_size=task.patch_size,
            spatial_dims=task.spatial_dims,
            feature_size=o.feature_size,
            hidden_size=o.hidden_size,
            mlp_dim=o.mlp_dim,
            num_heads=o.num_heads,
            dropout_rate=o.dropout_rate,
        )
        if not o.dropout_rate:
            _use_fused_attention(network)
        replace_upsampling(network, o.upsampling)
        return network

    def patch_problems(self, task: Task) -> list[str]:
        """Report patch sides not divisible by 16, the side of a token in voxels."""
        return [f"{n} is not a multiple of {TOKEN}" for n in task.patch_size if n % TOKEN]


def _use_fused_attention(network: nn.Module) -> None:
    # UNETR does not pass this option to its blocks. Not with dropout: MONAI 1.6's blocks would then drop in eval() too.
    from monai.networks.blocks.selfattention import SABlock

    for block in network.modules():
        if isinstance(block, SABlock):
            block.use_flash_attention = True
