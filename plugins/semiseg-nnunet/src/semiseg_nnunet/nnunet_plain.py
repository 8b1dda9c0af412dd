"""nnU-Net's default U-Net."""

from typing import Any

from torch import nn

from semiseg_nnunet.backbone import NNUNetBackbone, held
from semiseg_nnunet.options import NetworkOptions, Numbers


class NNUNetPlain(NNUNetBackbone):
    """nnU-Net's plain U-Net, planned from the patch size as in nnU-Net.

    Isensee et al. 2021 (doi:10.1038/s41592-020-01008-z), as in nnU-Net 2's default plans: ``PlainConvUNet`` of
    dynamic-network-architectures, two convolutions per stage, without deep supervision. With instance normalization, a
    sample's logits do not depend on the rest of the batch. A different patch size may give a different network.
    """

    class Options(NetworkOptions):
        """Sizes of the network; the defaults are nnU-Net's."""

        n_conv_per_stage: Numbers = (2,)
        """Convolutions per stage, top first; the last number applies to all further stages."""
        n_conv_per_stage_decoder: Numbers = (2,)
        """Convolutions per decoder stage, lowest first; the last number applies to all further stages."""

    def network(self, **arguments: Any) -> nn.Module:
        """Return a plain U-Net callable in parts."""
        from semiseg_nnunet.networks import SplitPlainConvUNet

        o, stages = self.options, arguments["n_stages"]
        return SplitPlainConvUNet(
            **arguments,
            n_conv_per_stage=held(o.n_conv_per_stage, stages),
            n_conv_per_stage_decoder=held(o.n_conv_per_stage_decoder, stages - 1),
        )
