"""Prediction of mirrored windows, averaged."""

from collections.abc import Callable, Sequence
from itertools import combinations

from torch import Tensor


def mirrored(predict: Callable[[Tensor], Tensor], axes: Sequence[int], spatial_dims: int) -> Callable[[Tensor], Tensor]:
    """Return a function that predicts the mean over all flips along some axes, mirrored back; as in nnU-Net.

    Args:
        predict: maps windows (B, C, \\*spatial) to probabilities (B, K, \\*spatial).
        axes: spatial axes; n of them give 2^n flips.
        spatial_dims: number of spatial axes.
    """
    dims = [axis - spatial_dims for axis in axes]
    flips = [some for count in range(1, len(dims) + 1) for some in combinations(dims, count)]

    def mean(windows: Tensor) -> Tensor:
        total = predict(windows)
        for flip in flips:
            total = total + predict(windows.flip(flip)).flip(flip)
        return total / (1 + len(flips))

    return mean if flips else predict
