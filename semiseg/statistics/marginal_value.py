"""The value of more labels: what the next ten would add, along a curve."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from semiseg.errors import DataError
from semiseg.statistics.label_curve import ArmValues, Array, arm_means, interval, require_curve
from semiseg.statistics.label_savings import labels


@dataclass(frozen=True, slots=True)
class MarginalValue:
    """What ``extra`` labels would add to ``labeled`` ones.

    Attributes:
        labeled: a labeled count of the curve.
        extra: labels more.
        change: of the score, in the metric's unit; None where the curve ends before ``labeled + extra``.
        interval: its 95 % interval; None where ``change`` is.
        reason: why they are None; empty where they are not.
    """

    labeled: int
    extra: int
    change: float | None
    interval: tuple[float, float] | None
    reason: str


def marginal_values(curve: Mapping[int, ArmValues], extra: int = 10) -> tuple[MarginalValue, ...]:
    """score(n + ``extra``) - score(n) for each labeled count n of a curve, in order, with bootstrap intervals.

    ``curve`` has for each labeled count the values (seeds, cases, classes) float64, nan where one is left out, and the
    seeds' names; of the same test cases, ordered alike (``arm_means``). The curve is of the means as they are, joined
    by lines in the logarithm of the count. It is not made monotone: that would never let labels do harm, so that where
    noise is all there is, every change and every interval would come out at zero or above. A change is then a weighted
    sum of means, with no bias of its own. It keeps the metric's sign: more labels lower a distance.

    Nothing is extrapolated: a count whose next labels lie beyond the curve's last count has None and a reason.

    Raises DataError where ``extra`` is below 1 or the curve has fewer than two counts, and as ``arm_means`` does.
    """
    if extra < 1:
        raise DataError(f"The labels to add have to be 1 or more, not {extra}.")
    require_curve(curve)
    counts = sorted(curve)
    means, samples = arm_means({f"curve at {labels(n)}": curve[n] for n in counts})
    return tuple(_value(index, counts, extra, means, samples) for index in range(len(counts)))


def _value(index: int, counts: list[int], extra: int, means: Array, samples: Array) -> MarginalValue:
    labeled, target = counts[index], counts[index] + extra
    if target > counts[-1]:
        reason = f"the curve ends at {labels(counts[-1])}, before {target}, and is not extrapolated"
        return MarginalValue(labeled, extra, None, None, reason)
    weights = _weights(target, counts)
    weights[index] -= 1
    return MarginalValue(labeled, extra, float(means @ weights), interval(samples @ weights), "")


def _weights(target: int, counts: list[int]) -> Array:
    """What each count's mean contributes to the curve's value at a count within it."""
    right = max(1, int(np.searchsorted(counts, target)))
    start, end = np.log(counts[right - 1 : right + 1])
    weights = np.zeros(len(counts))
    weights[right] = (np.log(target) - start) / (end - start)
    weights[right - 1] = 1 - weights[right]
    return weights
