"""nnU-Net's U-Net with a residual encoder."""

from typing import Any

from torch import nn

from semiseg_nnunet.backbone import NNUNetBackbone, held
from semiseg_nnunet.options import NetworkOptions, Numbers


class NNUNetResEnc(NNUNetBackbone):
    """nnU-Net's U-Net with a residual encoder, planned from the patch size as in nnU-Net.

    Isensee et al. 2024 (arXiv:2404.09556), the network of nnU-Net 2's presets ResEnc M, L and XL, which differ only in
    patch and batch size: ``ResidualEncoderUNet`` of dynamic-network-architectures, without deep supervision. With
    instance normalization, a sample's logits do not depend on the rest of the batch. A different patch size may give a
    different network.
    """

    class Options(NetworkOptions):
        """Sizes of the network; the defaults are those of the presets."""

        n_blocks_per_stage: Numbers = (1, 3, 4, 6)
        """Residual blocks per stage, top first; the last number applies to all further stages."""
        n_conv_per_stage_decoder: Numbers = (1,)
        """Convolutions per decoder stage, lowest first; the last number applies to all further stages."""

    def network(self, **arguments: Any) -> nn.Module:
        """Return a U-Net with a residual encoder, callable in parts."""
        from semiseg_nnunet.networks import SplitResidualEncoderUNet

        o, stages = self.options, arguments["n_stages"]
        return SplitResidualEncoderUNet(
            **arguments,
            n_blocks_per_stage=held(o.n_blocks_per_stage, stages),
            n_conv_per_stage_decoder=held(o.n_conv_per_stage_decoder, stages - 1),
        )
