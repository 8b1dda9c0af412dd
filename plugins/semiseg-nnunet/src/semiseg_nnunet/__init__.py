"""nnU-Net's U-Nets as backbones for semiseg: ``nnunet_plain`` and ``nnunet_resenc``."""
