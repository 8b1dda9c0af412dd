"""What the prediction of an image takes, before it is begun."""

import math

from semiseg.types import Shape


def window_count(shape: Shape, patch: Shape, overlap: float) -> int:
    """How many windows of a patch's size cover an image, as ``Predictor`` lays them."""
    count = 1
    for n, p in zip(shape, patch, strict=True):
        step = max(int(p * (1 - overlap)), 1)
        count *= math.ceil(max(n - p, 0) / step) + 1
    return count


def prediction_memory(shape: Shape, channels: int, classes: int) -> int:
    """Bytes of the arrays that live at once while an image is predicted, about; without those of the networks.

    For each voxel: its channels as they are stored, as they were cut, and normalized, in 4 bytes each; a probability a
    class, and the windows' weight, in 4 bytes each; and while the highest is looked for that one, where it is higher,
    and its class.
    """
    return math.prod(shape) * (3 * 4 * channels + 4 * (classes + 1) + 4 + 1 + 1)
