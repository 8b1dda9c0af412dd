"""MONAI's V-Net."""

from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.split import Upsampling
from semiseg.strategy_parts.upsampling import replace_upsampling
from semiseg.types import Task

FACTOR = 16


class VNet(Backbone):
    """MONAI's V-Net in 2D or 3D: residual blocks with kernel 5, ELU, and concatenated skip connections.

    Milletari et al. 2016 (arXiv:1606.04797). The semi-supervised papers on the left atrium use a smaller network, here
    ``vnet_la``. Batch normalization: a sample's logits depend on the rest of the batch,
    and the running statistics belong to the state. In 2D, dropout drops channels; MONAI's drops whole samples there.
    """

    class Options(ComponentOptions):
        """Options of the network."""

        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
        """Dropout probability of the lower levels (MONAI's default)."""
        upsampling: Upsampling = "transposed"
        """Upsampling between levels: transposed convolutions (MONAI), or interpolation and a convolution."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"split", "scales", "upsampling"})

    def build(self, task: Task) -> nn.Module:
        """Return a network for the task."""
        from semiseg.backbones._split_vnet import SplitVNet

        dropout = self.options.dropout
        network = SplitVNet(
            spatial_dims=task.spatial_dims,
            in_channels=task.in_channels,
            out_channels=task.out_channels,
            dropout_prob_down=dropout,
            dropout_prob_up=(dropout, dropout),
        )
        replace_upsampling(network, self.options.upsampling)
        return network

    def patch_problems(self, task: Task) -> list[str]:
        """Report patch sides not divisible by 16 and modality counts that do not divide 16, V-Net's first channels."""
        problems = [f"{n} is not a multiple of {FACTOR}" for n in task.patch_size if n % FACTOR]
        if FACTOR % task.in_channels:
            problems.append(f"{task.in_channels} modalities do not divide the {FACTOR} channels of the first level")
        return problems
