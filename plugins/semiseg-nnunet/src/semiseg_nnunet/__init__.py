"""nnU-Net's U-Nets and augmentation for semiseg: ``nnunet_plain`` and ``nnunet_resenc``, and ``nnunet``."""
