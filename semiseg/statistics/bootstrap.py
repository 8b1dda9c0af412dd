"""Bootstrap intervals over cases, of one method and of paired differences."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.seeding import derive_seed

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


def resampled_means(
    values: Mapping[str, NDArray[np.float64]], seeds: Mapping[str, Sequence[int | str]]
) -> dict[str, NDArray[np.float64]]:
    """Each method's means over seeds and cases (RESAMPLES, classes) in bootstrap samples of both.

    ``values`` (seeds, cases, classes) of each method, nan where a value is left out, the same cases for all methods and
    seeds. A sample draws as many cases as there are, with replacement, the same ones for all methods, all classes of a
    case together; and within it as many of a method's seeds as it has, with replacement. Every seed's network predicted
    every case, so the two are drawn independently of each other (the pigeonhole bootstrap). Methods with the same
    ``seeds`` (names of the rows of ``values``) get the same draws: what a seed does to all methods, such as the choice
    of the labeled cases, cancels out of their differences. A class without a value in a sample is nan there.

    An interval so made carries the spread of cases and of seeds. With few seeds it is somewhat narrow, by
    sqrt(1 - 1/seeds) in the seeds' part; with one seed it says nothing about other seeds.

    Source: A. B. Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007.
    """
    n_cases = next(iter(values.values())).shape[1]
    there = np.isfinite(next(iter(values.values()))[0]).astype(np.float64)
    filled = {name: np.nan_to_num(array, nan=0.0) for name, array in values.items()}
    shares = {name: _seed_shares(seeds[name]) for name in values}
    generator = np.random.default_rng(derive_seed(SEED, "cases"))
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in values}
    size = max(1, _ELEMENTS // n_cases)
    for start in range(0, RESAMPLES, size):
        stop = min(start + size, RESAMPLES)
        drawn = generator.multinomial(n_cases, [1 / n_cases] * n_cases, size=stop - start).astype(np.float64)
        count = drawn @ there
        for name, array in filled.items():
            sums = np.einsum("rs,rsk->rk", shares[name][start:stop], np.tensordot(drawn, array, axes=(1, 1)))
            parts[name].append(np.divide(sums, count, out=np.full(sums.shape, np.nan), where=count > 0))
    return {name: np.concatenate(pieces) for name, pieces in parts.items()}


def _seed_shares(seeds: Sequence[int | str]) -> NDArray[np.float64]:
    """The weight of each seed in each sample (RESAMPLES, seeds); it depends on the seeds alone."""
    n = len(seeds)
    generator = np.random.default_rng(derive_seed(SEED, "seeds", *seeds))
    return generator.multinomial(n, [1 / n] * n, size=RESAMPLES) / n
