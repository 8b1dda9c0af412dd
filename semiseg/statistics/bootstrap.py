"""Bootstrap intervals over cases, for one method and for paired differences."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.seeding import derive_seed

RESAMPLES = 10_000
SEED = 0
_ELEMENTS = 1_000_000  # values drawn at a time, which limits memory


def bootstrap_interval(values: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over columns of the means over rows.

    ``values`` (cases, classes) float64; nan marks an excluded value. Cases are drawn with replacement, all classes of a
    case together, since they are not independent. A mean is over the drawn values, and a draw without any is excluded.
    The seed is fixed, so the same values give the same interval. Returns (nan, nan) if no column has two values, since
    a single case has no spread.

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
    """Return the mean over classes of the means over cases, of (…, cases, classes); nan is excluded, unless alone."""
    return finite_mean(finite_mean(values, axis=-2), axis=-1)


def finite_mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the mean of the finite values along an axis; nan if there are none."""
    there = np.isfinite(values)
    count = there.sum(axis=axis)
    total = np.where(there, values, 0.0).sum(axis=axis)
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return mean


def resampled_means(
    values: Mapping[str, NDArray[np.float64]], seeds: Mapping[str, Sequence[int | str]]
) -> dict[str, NDArray[np.float64]]:
    """Return each method's means over seeds and cases (RESAMPLES, classes) in bootstrap samples of both.

    ``values`` (seeds, cases, classes) of each method, nan for excluded values, with the same cases for all methods and
    seeds. A sample draws cases with replacement, as many as there are, the same ones for all methods and with all
    classes of a case together. Within it, it draws a method's seeds with replacement, as many as the method has. Every
    seed's network predicted every case, so the two are drawn independently (the pigeonhole bootstrap). Methods with the
    same ``seeds`` (names of the rows of ``values``) get the same draws, so that effects of a seed on all methods, such
    as the choice of the labeled cases, cancel out in their differences. A class without a value in a sample is nan.

    The resulting interval covers the spread of cases and of seeds. With few seeds it is somewhat narrow, by
    sqrt(1 - 1/seeds) in the seeds' part; with one seed it does not cover other seeds.

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
    """Return the weight of each seed in each sample (RESAMPLES, seeds); it depends only on the seeds."""
    n = len(seeds)
    generator = np.random.default_rng(derive_seed(SEED, "seeds", *seeds))
    return generator.multinomial(n, [1 / n] * n, size=RESAMPLES) / n
