"""The largest connected component of each class."""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor


def largest_components(labels: Tensor) -> Tensor:
    """Return the labels with only the largest connected component of each foreground class; other voxels become 0.

    Voxels that share a face, an edge or a corner are connected: 26 neighbors, or 8 in 2D, as in the public code
    of BCP for volumes and for slices. Among components of equal size, the first in array order is kept. Computed on the
    CPU.

    Args:
        labels: (n, \\*spatial) int64 on any device; not modified; 0 is the background.

    Returns:
        (n, \\*spatial) int64, on the same device.
    """
    volumes = labels.cpu().numpy()
    neighbors = ndimage.generate_binary_structure(volumes.ndim - 1, volumes.ndim - 1)  # all 26, or 8
    kept = np.zeros_like(volumes)
    for volume, result in zip(volumes, kept, strict=True):
        for label in range(1, int(volume.max(initial=0)) + 1):
            pieces, count = ndimage.label(volume == label, neighbors)
            if count:
                largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
                result[pieces == largest] = label
    return torch.from_numpy(kept).to(labels.device)
