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
    The draws are those of ``resampled_means`` for one seed, so that a run has the same interval here as in a comparison
    or a study. Returns (nan, nan) if no column has two values, since a single case has no spread.

    Source: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    return interval_of(case_samples(values), level) if has_spread(values) else (math.nan, math.nan)


def has_spread(values: NDArray[np.float64]) -> bool:
    """Return whether any class of (…, cases, classes) has two or more values."""
    return values.size > 0 and int(np.isfinite(values).sum(axis=-2).max()) > 1


def case_samples(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means over cases of values (cases, classes) in bootstrap samples, (RESAMPLES, classes)."""
    return resampled_means({"": values[None]}, {"": (0,)})[""]


def interval_of(samples: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of the mean over classes of ``resampled_means`` (RESAMPLES, classes)."""
    low, high = np.nanquantile(class_means(samples), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def class_means(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over classes of ``resampled_means`` (RESAMPLES, classes); nan is excluded, unless alone."""
    return finite_mean(np.ascontiguousarray(samples), axis=1)  # the memory layout affects the last digit


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
    there = np.isfinite(next(iter(values.values()))[0])
    filled = {name: np.where(np.isfinite(array), array, 0.0) for name, array in values.items()}
    shares = {name: _seed_shares(seeds[name]) for name in values}
    generator = np.random.default_rng(derive_seed(SEED, "cases"))
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in values}
    size = max(1, _ELEMENTS // n_cases)
    for start in range(0, RESAMPLES, size):
        stop = min(start + size, RESAMPLES)
        drawn = generator.multinomial(n_cases, [1 / n_cases] * n_cases, size=stop - start).astype(np.float64)
        count = drawn @ there
        columns = np.ascontiguousarray(drawn.T)
        for name, array in filled.items():
            sums = _drawn_sums(columns, array, shares[name][start:stop])
            parts[name].append(np.divide(sums, count, out=np.full(sums.shape, np.nan), where=count > 0))
    return {name: np.concatenate(pieces) for name, pieces in parts.items()}


def _drawn_sums(
    drawn: NDArray[np.float64], values: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sums (samples, classes) over drawn cases (cases, samples), weighted by the shares (samples, seeds).

    Every class is summed on its own, in the order of the cases: a matrix product would round its last digit differently
    with other classes or another number of threads.
    """
    sums = np.zeros((drawn.shape[1], values.shape[2]))
    for seed, rows in enumerate(values):
        for name, column in enumerate(rows.T):
            sums[:, name] += shares[:, seed] * (drawn * column[:, None]).sum(axis=0)
    return sums


def _seed_shares(seeds: Sequence[int | str]) -> NDArray[np.float64]:
    """Return the weight of each seed in each sample (RESAMPLES, seeds); it depends only on the seeds."""
    n = len(seeds)
    generator = np.random.default_rng(derive_seed(SEED, "seeds", *seeds))
    return generator.multinomial(n, [1 / n] * n, size=RESAMPLES) / n
