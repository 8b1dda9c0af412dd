"""Means of arms, in the data and in bootstrap samples shared by all arms: the basis of label curves."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem, raise_all
from semiseg.statistics.bootstrap import finite_mean, resampled_means
from semiseg.statistics.paired import without_noise

Array = NDArray[np.float64]
ArmValues = tuple[Array, Sequence[int | str]]  # values (seeds, cases, classes), nan if excluded; the seeds' names
LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


def arm_means(arms: Mapping[str, ArmValues]) -> tuple[Array, Array]:
    """Return each arm's mean over classes of the means over seeds and cases: in the data (arms,), and in bootstrap
    samples (samples, arms) that draw the same cases for all arms, and the same seeds for arms with the same seeds.

    All arms have the same cases and classes in the same order. A case that one arm lacks for a class (nan or infinite)
    is excluded for that class in all arms. Rows are first ordered by the seeds' names, so that arms with the same seeds
    share their draws regardless of order. Samples without any value are excluded, and float64 noise is rounded off.

    Raises DataError, with all problems at once, if an array does not match its seeds or the other arms, or if no class
    has two cases, since a single case has no spread.

    With one seed, the samples do not cover other seeds. With few seeds that vary more than the cases' differences,
    their spread is too small (``resampled_means``). Noise of seeds within cases counts up to three times, which is
    conservative.
    """
    raise_all(_problems(arms), DataError)
    ordered = {name: _by_seed(values, seeds) for name, (values, seeds) in arms.items()}
    there = np.logical_and.reduce([np.isfinite(values).all(axis=0) for values, _ in ordered.values()])
    if there.sum(axis=0).max() < 2:
        raise DataError(f"Fewer than 2 test cases have a value in all of: {', '.join(arms)}.")
    common = {name: np.where(there, values, np.nan) for name, (values, _) in ordered.items()}
    drawn = resampled_means(common, {name: seeds for name, (_, seeds) in ordered.items()})
    samples = np.stack([finite_mean(means, axis=1) for means in drawn.values()], axis=1)
    means = np.array([finite_mean(finite_mean(v.mean(axis=0), axis=0), axis=0) for v in common.values()])
    largest = float(np.abs(means).max())
    return without_noise(means, largest), without_noise(samples[np.isfinite(samples).all(axis=1)], largest)


def require_curve(counts: Collection[int]) -> None:
    """Raise DataError unless there are at least two labeled counts, all positive: a single point is no curve."""
    if len(counts) < 2 or min(counts) < 1:
        raise DataError(f"A curve needs two or more positive labeled counts, not {sorted(counts)}.")


def interval(samples: Array) -> tuple[float, float]:
    """Return the percentile interval of samples (samples,) at LEVEL.

    Its ends are sample values, not interpolated, so that samples may be infinite.
    """
    low, high = np.quantile(samples, TAILS, method="inverted_cdf")
    return float(low), float(high)


def _by_seed(values: Array, seeds: Sequence[int | str]) -> ArmValues:
    order = sorted(range(len(seeds)), key=lambda row: (str(seeds[row]), row))
    return values[order], [seeds[row] for row in order]


def _problems(arms: Mapping[str, ArmValues]) -> list[Problem]:
    problems = []
    expected = next((values.shape[1:] for values, _ in arms.values() if values.ndim == 3), ())
    for name, (values, seeds) in arms.items():
        if values.ndim != 3 or values.size == 0:
            problems.append(Problem(name, f"values are (seeds, cases, classes), not of shape {values.shape}."))
        elif len(values) != len(seeds):
            problems.append(Problem(name, f"values of {len(values)} seeds, but names of {len(seeds)}."))
        elif values.shape[1:] != expected:
            what = "cases and classes are not those of the other arms: {} and {}, not {} and {}."
            problems.append(Problem(name, what.format(*values.shape[1:], *expected)))
    return problems
