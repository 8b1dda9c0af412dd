"""nnU-Net's U-Net with a residual encoder."""

from typing import Any

from torch import nn

from semiseg_nnunet.backbone import NNUNetBackbone, held
from semiseg_nnunet.options import NetworkOptions, Numbers


class NNUNetResEnc(NNUNetBackbone):
    """nnU-Net's U-Net with a residual encoder, planned from the patch size as nnU-Net does.

    Isensee et al. 2024 (arXiv:2404.09556), the network of nnU-Net 2's presets ResEnc M, L and XL, which differ in
    patch and batch size alone: ``ResidualEncoderUNet`` of dynamic-network-architectures, without deep supervision.
    Instance normalization: a sample's logits do not depend on the rest of the batch. Another patch size may make
    another network.
    """

    class Options(NetworkOptions):
        """Sizes of the network; those of the presets."""

        n_blocks_per_stage: Numbers = (1, 3, 4, 6)
        """Residual blocks of each stage, top first; the last number holds for all further stages."""
        n_conv_per_stage_decoder: Numbers = (1,)
        """Convolutions of each stage of the decoder, lowest first; the last number holds for all further stages."""

    def network(self, **arguments: Any) -> nn.Module:
        """A U-Net with a residual encoder in parts."""
        from semiseg_nnunet.networks import SplitResidualEncoderUNet

        o, stages = self.options, arguments["n_stages"]
        return SplitResidualEncoderUNet(
            **arguments,
            n_blocks_per_stage=held(o.n_blocks_per_stage, stages),
            n_conv_per_stage_decoder=held(o.n_conv_per_stage_decoder, stages - 1),
        )
