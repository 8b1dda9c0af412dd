"""Power of a paired comparison, and the number of cases and seeds needed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nct, t

from semiseg.errors import DataError, Problem, raise_all
from semiseg.statistics.label_curve import Array
from semiseg.statistics.paired import paired_differences, without_noise

ALPHA = 0.05
POWER = 0.80
MOST = 100_000  # larger numbers are useless for planning a study


def paired_power(effect: float, n: int) -> float:
    """Return the power of the two-sided paired t test at ALPHA.

    ``effect`` is the mean of the differences over their standard deviation (Cohen's d of a paired design), ``n`` >= 2
    the number of pairs. The power is the probability that |t|, with n - 1 degrees of freedom and noncentrality
    ``effect * sqrt(n)``, exceeds the critical value on either side; exact for normal differences.

    Source: J. Cohen, Statistical Power Analysis for the Behavioral Sciences, 2nd edition, 1988, chapter 2.
    """
    freedom = n - 1
    critical = t.isf(ALPHA / 2, freedom)
    shift = abs(effect) * math.sqrt(n)
    far = float(nct.sf(critical, freedom, shift))
    # The near side is below the normal tail at -shift, which is below 1e-8 there; scipy's value may be nan beyond.
    near = float(nct.cdf(-critical, freedom, shift)) if shift < 5.5 else 0.0
    return min(1.0, far + near)


def pairs_needed(effect: float) -> int | None:
    """Return the smallest number of pairs with a power of POWER; None if MOST are too few."""
    if effect == 0 or paired_power(effect, MOST) < POWER:
        return None
    few, enough = 1, MOST
    while enough - few > 1:
        middle = (few + enough) // 2
        if paired_power(effect, middle) < POWER:
            few = middle
        else:
            enough = middle
    return enough


def detectable_effect(n: int) -> float:
    """Return the smallest effect, as in ``paired_power``, that ``n`` >= 2 pairs detect with a power of POWER."""
    highest = 1.0
    while paired_power(highest, n) < POWER:
        highest *= 2
    return float(brentq(lambda effect: paired_power(effect, n) - POWER, 0.0, highest))


SeedValues = tuple[Array, Sequence[int | str]]  # values (seeds, cases), nan if excluded; the seeds' names


@dataclass(frozen=True, slots=True)
class PowerPlan:
    """The power of a paired t test of two methods, for differences like the observed ones.

    Attributes:
        unit: the unit of a pair: ``test cases`` or ``seeds``.
        n: number of pairs.
        difference: their mean difference, first minus second, in the metric's unit; None without a pair.
        std: standard deviation of the differences (ddof 1); None with fewer than 2.
        needed: the smallest number of pairs with 80 % power; None if it is more than MOST, or refused.
        achieved: the power with n pairs; None if refused.
        detectable: the smallest true difference that n pairs find with 80 % power; None without a spread.
        seed_noise: for test cases, the fraction of the differences' variance that is noise of the seeds, from 0 to 1;
            None for seeds, and if a method has only one seed.
        reason: why the plan is refused; empty if it is not.
    """

    unit: Literal["test cases", "seeds"]
    n: int
    difference: float | None
    std: float | None
    needed: int | None
    achieved: float | None
    detectable: float | None
    seed_noise: float | None
    reason: str


def plan_cases(first: SeedValues, second: SeedValues) -> PowerPlan:
    """Plan the number of test cases, from each case's difference between the methods' means over seeds.

    Values (seeds, cases) float64 are of the same cases in the same order; a case with nan for any seed is excluded.
    The seeds are taken as given: the plan shows the effect of more cases with the same number of seeds. Noise of the
    seeds within a case adds to the variance of the differences: its own variance over the number of seeds.
    ``seed_noise`` is that fraction, computed from the residuals of values after the means by seed and by case. If it is
    large, more seeds help as well as more cases. If the methods share their seeds, it is that of the paired
    differences.

    The plan takes the observed difference as the true one and shares its uncertainty. The power at n itself only
    restates the p-value; it is no evidence that there is no difference.

    Refused, with a reason: fewer than 2 cases, no difference on average, identical differences. Raises DataError if
    the arrays do not match their seeds or each other.

    Sources: ``paired_power``; J. M. Hoenig and D. M. Heisey, The abuse of power, The American Statistician 55, 2001.
    """
    one, other = _common_cases(first, second)
    differences = paired_differences(one.mean(axis=0), other.mean(axis=0))
    names, others = list(first[1]), list(second[1])
    alike = set(names) == set(others)
    parts = [one - other[[others.index(name) for name in names]]] if alike else [one, other]
    noise = None
    if min(len(one), len(other)) > 1 and len(differences) > 1 and differences.var() > 0:
        variance = sum(_residual_variance(part) / len(part) for part in parts)
        noise = float(min(1.0, variance / differences.var(ddof=1)))
    return _plan("test cases", differences, noise)


def plan_seeds(first: SeedValues, second: SeedValues) -> PowerPlan:
    """Plan the number of seeds, from the difference between the methods' means over cases for each shared seed.

    Values are as in ``plan_cases``. The cases are taken as given: the plan applies only to these test cases. With about
    three seeds its figures are rough. Refused, with a reason: fewer than 2 seeds of the same name, no difference on
    average, identical differences, no case. Raises DataError as ``plan_cases`` does.
    """
    one, other = _common_cases(first, second)
    shared = [name for name in first[1] if name in second[1]]
    if not one.shape[1]:
        return _plan("seeds", np.empty(0), None)
    ours = one.mean(axis=1)[[list(first[1]).index(name) for name in shared]]
    theirs = other.mean(axis=1)[[list(second[1]).index(name) for name in shared]]
    return _plan("seeds", paired_differences(ours, theirs), None)


def _plan(unit: Literal["test cases", "seeds"], differences: Array, noise: float | None) -> PowerPlan:
    n = len(differences)
    if n < 2:
        both = "both methods have a seed of the same name" if unit == "seeds" else "both methods have a value"
        reason = f"at least 2 {unit} are needed for which {both}; there {'is' if n == 1 else 'are'} {n}"
        return PowerPlan(unit, n, float(differences[0]) if n else None, None, None, None, None, None, reason)
    mean, std = _mean_and_std(differences)
    if std == 0:
        reason = f"all {n} {unit} have the same difference, {mean:.3g}"
        return PowerPlan(unit, n, mean, std, None, None, None, noise, reason)
    detectable = detectable_effect(n) * std
    if mean == 0:
        return PowerPlan(unit, n, mean, std, None, None, detectable, noise, "there is no difference on average")
    effect = mean / std
    return PowerPlan(unit, n, mean, std, pairs_needed(effect), paired_power(effect, n), detectable, noise, "")


def _mean_and_std(differences: Array) -> tuple[float, float]:
    """Return both without float64 noise, which would turn a zero difference or spread into a nonzero one."""
    largest = float(np.abs(differences).max())
    figures = np.array([differences.mean(), differences.std(ddof=1)])
    mean, std = without_noise(figures, largest) if largest else figures
    return float(mean), float(std)


def _residual_variance(values: Array) -> float:
    """Return the variance of values (seeds, cases) after both means, as in a two-way ANOVA without replicates."""
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    return float((rest**2).sum() / np.prod(np.array(values.shape) - 1))


def _common_cases(first: SeedValues, second: SeedValues) -> tuple[Array, Array]:
    (one, names), (other, others) = first, second
    problems = [
        Problem(which, f"values are (seeds, cases) with a name for each seed, not {values.shape} with {len(seeds)}.")
        for which, values, seeds in (("first", one, names), ("second", other, others))
        if values.ndim != 2 or len(values) != len(seeds) or not len(seeds)
    ]
    problems += [
        Problem(which, f"the names of the seeds are not all different: {', '.join(map(str, seeds))}.")
        for which, seeds in (("first", names), ("second", others))
        if len(set(seeds)) < len(seeds)
    ]
    if not problems and one.shape[1] != other.shape[1]:
        problems.append(Problem("", f"The methods have different numbers of cases: {one.shape[1]}, {other.shape[1]}."))
    raise_all(problems, DataError)
    there = np.isfinite(one).all(axis=0) & np.isfinite(other).all(axis=0)
    return one[:, there], other[:, there]
