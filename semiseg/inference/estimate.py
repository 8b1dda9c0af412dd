"""Estimates of the cost of predicting an image."""

import math

from semiseg.types import Shape


def window_count(shape: Shape, patch: Shape, overlap: float) -> int:
    """Return the number of windows that cover an image, as placed by ``Predictor``; ``patch`` has the image's axes."""
    count = 1
    for n, p in zip(shape, patch, strict=True):
        step = max(int(p * (1 - overlap)), 1)
        count *= math.ceil(max(n - p, 0) / step) + 1
    return count


def prediction_memory(shape: Shape, channels: int, classes: int) -> int:
    """Return the approximate bytes of the arrays held at once while predicting an image, without the networks' memory.

    Per voxel: its channels as stored, cropped and normalized, in 4 bytes each; one probability per class and the
    windows' weight, in 4 bytes each; and, while taking the highest class, that probability, the comparison and the
    class.
    """
    return math.prod(shape) * (3 * 4 * channels + 4 * (classes + 1) + 4 + 1 + 1)
