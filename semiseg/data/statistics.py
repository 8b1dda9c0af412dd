"""Statistics of a channel's foreground, in float64, slab by slab, so that they take no memory to speak of."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.integer | np.float32]


def foreground_statistics(channel: Array, nonzero: bool) -> tuple[float, float]:
    """Mean and standard deviation (of the population) of a channel (x, y, z); (0, 0) where it has no foreground.

    ``nonzero`` says that voxels of 0 are background. Two passes: no digits are lost to a large mean.
    """
    count = _total(channel, nonzero, lambda values: float(values.size))
    if not count:
        return 0.0, 0.0
    mean = _total(channel, nonzero, lambda values: float(values.sum())) / count
    variance = _total(channel, nonzero, lambda values: float(np.square(values - mean).sum())) / count
    return mean, variance**0.5


def foreground_range(channel: Array, nonzero: bool) -> tuple[float, float]:
    """Smallest and largest value of a channel's foreground; (0, 0) where it has none."""
    ends = [(float(values.min()), float(values.max())) for values in _slabs(channel, nonzero) if values.size]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 0.0)


def _total(channel: Array, nonzero: bool, measure: Callable[[NDArray[np.float64]], float]) -> float:
    return sum(measure(values) for values in _slabs(channel, nonzero))


def _slabs(channel: Array, nonzero: bool) -> Iterator[NDArray[np.float64]]:
    for slab in channel:
        yield (slab[slab != 0] if nonzero else slab).astype(np.float64)
