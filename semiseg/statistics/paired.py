"""Paired tests, effect sizes, and Holm's correction for multiple tests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon

_EXACT_UP_TO = 50  # nonzero differences; beyond, the normal approximation is as good
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class SignedRank:
    """Two-sided p, and the matched-pairs rank-biserial correlation: (W+ - W-) / (W+ + W-), from -1 to 1.

    Source of the correlation: D. S. Kerby, The simple difference formula, Comprehensive Psychology 3, 2014.
    """

    p: float
    effect: float


def paired_differences(values: NDArray[np.float64], baseline: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``values - baseline`` of the cases (n,) that have both, without float64 noise.

    Differences are rounded to 12 digits of the largest value: otherwise means over seeds that are mathematically equal
    would differ by 1e-17, and zeros and ties would be missed.
    """
    there = np.isfinite(values) & np.isfinite(baseline)
    values, baseline = values[there], baseline[there]
    return without_noise(values - baseline, float(np.abs([values, baseline]).max(initial=0.0)))


def without_noise(values: NDArray[np.float64], largest: float) -> NDArray[np.float64]:
    """Round values to 12 digits of the largest number that they were computed from."""
    scale = math.ldexp(0.5, math.frexp(largest)[1])  # a power of two, so the division is exact
    rounded: NDArray[np.float64] = np.round(values / scale, _DIGITS) * scale
    return rounded


def signed_rank(differences: NDArray[np.float64]) -> SignedRank:
    """Run Wilcoxon's signed-rank test on differences (n,): two-sided p; (1, 0) if all are zero or there are none.

    Zeros are ranked with the others and then dropped (Pratt): structures that both methods miss give many zeros, and
    if they are dropped before ranking, as Wilcoxon did, more evidence can make a p larger. Ties share their average
    rank. Up to 50 nonzero differences, p is exact given the ranks, even with ties: the fraction of the 2^n sign
    assignments that are at least as extreme (shift algorithm, on doubled ranks, which are integers). Beyond 50, it is
    scipy's normal approximation, corrected for ties and zeros. With n < 6, no p can be below 0.05.

    Sources: F. Wilcoxon, Biometrics Bulletin 1, 1945; J. W. Pratt, Journal of the American Statistical Association 54,
    1959; B. Streitberg and J. Röhmel, Statistical Software Newsletter 12, 1986.
    """
    signs = np.sign(differences)
    if not signs.any():
        return SignedRank(1.0, 0.0)
    ranks = rankdata(np.abs(differences))[signs != 0]
    signs = signs[signs != 0]
    effect = float((signs * ranks).sum() / ranks.sum())
    if len(ranks) > _EXACT_UP_TO:
        return SignedRank(float(wilcoxon(differences, zero_method="pratt").pvalue), effect)
    return SignedRank(_exact_p(np.rint(2 * ranks).astype(int), signs > 0), effect)


def _exact_p(ranks: NDArray[np.int_], positive: NDArray[np.bool_]) -> float:
    total = int(ranks.sum())
    ways = np.zeros(total + 1)  # number of choices of positive signs, by the sum of their ranks
    ways[0] = 1.0
    for rank in ranks:
        ways[rank:] = ways[rank:] + ways[: total + 1 - rank]
    found = int(ranks[positive].sum())
    tail = ways[: min(found, total - found) + 1].sum() / ways.sum()
    return min(1.0, 2 * float(tail))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p values in the order given, which control the family-wise error rate.

    The i-th smallest of m is multiplied by (m - i + 1), raised to at least the one before it, and capped at 1. No
    assumption is made about the dependence of the tests.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6,
    1979.
    """
    adjusted, reached = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        reached = max(reached, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = reached
    return adjusted
