"""nnU-Net's augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from semiseg.plugin import Augmentation, Shape
from semiseg_nnunet.augmentation_options import AXES, AugmentationOptions
from semiseg_nnunet.augmentation_rules import largest_angle, size_to_read

if TYPE_CHECKING:
    from torch import Tensor


class NNUNetAugmentation(Augmentation):
    """nnU-Net's rotation, zoom, noise, blur, brightness, contrast, low resolution, gamma and flips.

    Isensee et al. 2021 (doi:10.1038/s41592-020-01008-z), as in nnU-Net 2.8's default trainer: the
    transforms of batchgeneratorsv2 in its order, with its ranges and probabilities, in 3D and in 2D. An anisotropic 3D
    patch is rotated and zoomed in its plane, and keeps its resolution along the coarse axis. Each channel has its own
    numbers, except for the noise.
    """

    Options: ClassVar[type[AugmentationOptions]] = AugmentationOptions

    def source_size(self, patch_size: Shape) -> Shape:
        """Return the size that rotation and zoom may need, limited by the margin."""
        o: AugmentationOptions = self.options
        degrees = (o.rotation or largest_angle(patch_size)) if o.probability("rotation") else 0.0
        return size_to_read(patch_size, degrees, o.zoom_out[1] if o.probability("zoom_out") else 1.0, o.margin)

    def flipped_axes(self, spatial_dims: int) -> tuple[int, ...]:
        """Return the axes of ``flip_axes`` that samples have."""
        return tuple(axis for axis in range(spatial_dims) if AXES[axis] in self.options.flip_axes)

    def __call__(self, image: Tensor, label: Tensor | None, patch_size: Shape) -> tuple[Tensor, Tensor | None]:
        """Return the augmented sample; labels by the largest interpolated indicator."""
        from semiseg_nnunet import augmentation_transforms as transforms

        with transforms.numpy_seeded_by_torch():
            image, label = transforms.move(image, label, patch_size, self.options)
            image = transforms.change_intensities(image, self.options)
            return transforms.flip(image, label, self.flipped_axes(len(patch_size)))
