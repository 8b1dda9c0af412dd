"""Changes applied by numba: one sample at a time, on the CPU."""

import numpy as np
import torch
from torch import Tensor

from semiseg.augmentation import fused_kernels
from semiseg.augmentation.change import Change
from semiseg.augmentation.intensity_lookup import curve_table
from semiseg.augmentation.spatial import crop_and_flip, voxel_map
from semiseg.types import Shape


def apply_change(
    image: Tensor, label: Tensor | None, change: Change, patch_size: Shape, keep_zero: bool
) -> tuple[Tensor, Tensor | None]:
    """Do the same as ``fused_torch.apply_changes`` for one sample without the leading axis.

    Values agree to 1e-3 of a channel's range, except at isolated voxels whose positions in single precision (there) and
    double precision (here) fall on different sides of a border.
    """
    patch = _move(image, change, patch_size)
    for channel, curve in zip(patch.numpy(), change.curves, strict=True):
        if curve.bends or curve.shift or curve.factor != 1:
            table = curve_table(curve).numpy() if curve.bends else np.empty(0, np.float32)
            fused_kernels.change_intensities(channel.reshape(-1), table, curve.shift, curve.factor, keep_zero)
    return patch, None if label is None else _move(label, change, patch_size)


def _move(array: Tensor, change: Change, patch_size: Shape) -> Tensor:
    """Return the patch of an image (C, X, Y, Z) float32 or of a label (X, Y, Z) int64."""
    source = array.contiguous().numpy()
    # Unlike torch, numpy allocates in large memory pages where available, which saves 20 ms.
    patch = np.empty((*source.shape[:-3], *patch_size), source.dtype)
    if not change.interpolates:
        return torch.from_numpy(patch).copy_(crop_and_flip(array, patch_size, change.flips))
    x, y, z = source.shape[-3:]
    matrix, offset = voxel_map((x, y, z), patch_size, change.zoom, change.degrees, change.flips)
    resample = fused_kernels.resample_image if array.is_floating_point() else fused_kernels.resample_label
    resample(source, matrix.numpy(), offset.numpy(), patch)
    return torch.from_numpy(patch)
