"""Additional decoders and heads for any split backbone, taken from further networks of the same backbone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from semiseg.errors import ComponentError
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.split import Outputs, SplitNetwork, Upsampling, keep
from semiseg.types import Task


class MoreDecoders(nn.Module):
    """One encoder and several decoders, each with a head; ``Outputs.logits`` are the first decoder's.

    Capabilities: "split", and "upsampling" if any decoder is not "transposed".
    """

    def __init__(self, backbone: Backbone, task: Task, upsampling: Sequence[Upsampling]) -> None:
        """Build one decoder for each of ``upsampling``, initialized in turn."""
        super().__init__()
        ways = [backbone if mode == "transposed" else backbone.with_upsampling(mode) for mode in upsampling]
        self.network = ways[0].build(task)
        self.others = nn.ModuleList(keep(way.build(task), "decoder", "head") for way in ways[1:])

    def forward(self, images: Tensor) -> Outputs:
        """Return logits of every decoder from one pass of the encoder."""
        features = _parts(self.network).encode(images)
        first, *more = [part.classify(part.decode(features)) for part in map(_parts, (self.network, *self.others))]
        return Outputs(first, decoders=tuple(more))


class MoreHeads(nn.Module):
    """One network with additional heads of the same kind on its decoder's finest features. Capability: "split"."""

    def __init__(self, backbone: Backbone, task: Task, heads: Mapping[str, Sequence[str]]) -> None:
        """Build the network; ``heads`` gives the channel names of each additional head, by its name."""
        super().__init__()
        self.network = backbone.build(task)
        self.heads = nn.ModuleDict(
            {name: keep(backbone.build(replace(task, classes=tuple(ch))), "head") for name, ch in heads.items()}
        )

    def forward(self, images: Tensor) -> Outputs:
        """Return logits and the additional heads' raw outputs: activations are left to the strategy."""
        network = _parts(self.network)
        decoded = network.decode(network.encode(images))
        heads = {name: _parts(head).classify(decoded) for name, head in self.heads.items()}
        return Outputs(network.classify(decoded), heads=heads)


class MoreScales(nn.Module):
    """One network with a convolution of size 1 to logits on each coarser level of its decoder. Capability: "scales".

    The logits of a level are resampled to the image's size by linear interpolation along each axis.
    """

    def __init__(self, backbone: Backbone, task: Task, dropout: float = 0.0, for_supervision: bool = False) -> None:
        """Build the network; ``dropout`` drops whole channels before each of these convolutions.

        ``for_supervision``: for deep supervision as in nnU-Net, which leaves out the coarsest level, unless it is the
        only one; and only in training mode, since none of them predicts.

        Raises ComponentError for a network without a level that is coarser than the image.
        """
        super().__init__()
        self.network = backbone.build(task)
        levels = _parts(self.network).levels
        self.coarse = [index for index, level in enumerate(levels) if max(level.factor) > 1]
        if not self.coarse:
            raise ComponentError("The network has no level that is coarser than the image.", "Give it more levels.")
        self.for_supervision = for_supervision
        if for_supervision:
            self.coarse = self.coarse[:-1] or self.coarse
        flat = task.spatial_dims == 2
        self.dropout = nn.Dropout2d(dropout) if flat else nn.Dropout3d(dropout)
        convolution = nn.Conv2d if flat else nn.Conv3d
        self.scales = nn.ModuleList(convolution(levels[i].channels, task.out_channels, 1) for i in self.coarse)

    def forward(self, images: Tensor) -> Outputs:
        """Return the network's logits, and those of the coarser levels, finest first."""
        network = _parts(self.network)
        decoded = network.decode(network.encode(images))
        if self.for_supervision and not self.training:
            return Outputs(network.classify(decoded))
        scales = []
        for index, convolution in zip(self.coarse, self.scales, strict=True):
            logits = convolution(self.dropout(decoded[index]))
            mode = "bilinear" if images.dim() == 4 else "trilinear"
            scales.append(F.interpolate(logits, size=images.shape[2:], mode=mode, align_corners=False))
        return Outputs(network.classify(decoded), scales=tuple(scales))


def _parts(network: nn.Module) -> SplitNetwork:
    return cast(SplitNetwork, network)
