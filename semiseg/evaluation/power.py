"""The power of a paired t test, and the number of pairs that it needs."""

import math

from scipy.optimize import brentq
from scipy.stats import nct, t

ALPHA = 0.05
POWER = 0.80
MOST = 100_000  # beyond, a number is of no use to anyone who plans a study


def paired_power(effect: float, n: int) -> float:
    """The power of the two-sided paired t test at ALPHA.

    ``effect`` is the mean of the differences over their standard deviation (Cohen's d of a paired design), ``n`` >= 2
    the number of pairs. With n - 1 degrees of freedom and noncentrality ``effect * sqrt(n)``, it is the chance that
    |t| is beyond the critical value, on either side; exact for normal differences.

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
    """The smallest number of pairs with a power of POWER; None where MOST are too few."""
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
    """The smallest effect, as ``paired_power`` has it, that ``n`` >= 2 pairs detect with a power of POWER."""
    highest = 1.0
    while paired_power(highest, n) < POWER:
        highest *= 2
    return float(brentq(lambda effect: paired_power(effect, n) - POWER, 0.0, highest))
