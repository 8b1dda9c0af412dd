"""Confidence intervals of means over cases, by resampling the cases."""

import math

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
SEED = 0
_ELEMENTS = 1_000_000  # values drawn at a time, which bounds the memory


def bootstrap_interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over columns of the means over rows.

    ``values`` (cases, classes) float64; nan is a value that is left out. Cases are drawn with replacement, all classes
    of a case together, since they are not independent; a mean is of the values that were drawn, and a draw without
    any is left out. The seed is fixed: the same values give the same interval. (nan, nan) where no column has two
    values, since one case tells nothing of the spread.

    Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if values.size == 0 or np.isfinite(values).sum(axis=0).max() < 2:
        return math.nan, math.nan
    means = _resampled_means(values)
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    generator = np.random.default_rng(SEED)
    size = max(1, _ELEMENTS // values.size)
    means = []
    for start in range(0, RESAMPLES, size):
        rows = generator.integers(len(values), size=(min(size, RESAMPLES - start), len(values)))
        means.append(mean_of_means(values[rows]))
    return np.concatenate(means)


def mean_of_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over classes of the means over cases, of (…, cases, classes); nan is left out, alone it stays nan."""
    return finite_mean(finite_mean(values, axis=-2), axis=-1)


def finite_mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """The mean along an axis of the values that are finite; nan where none is."""
    there = np.isfinite(values)
    count = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean
