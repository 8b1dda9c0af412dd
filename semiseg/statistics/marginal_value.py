"""The marginal value of labels: the gain from the next ten, along a curve."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from semiseg.errors import DataError
from semiseg.messages import counted
from semiseg.statistics.label_curve import ArmValues, Array, arm_means, interval, require_curve


@dataclass(frozen=True, slots=True)
class MarginalValue:
    """The gain from adding ``extra`` labels to ``labeled`` ones.

    Attributes:
        labeled: a labeled count of the curve.
        extra: number of additional labels.
        change: change of the score, in the metric's unit; None if the curve ends before ``labeled + extra``.
        interval: its 95 % interval; None if ``change`` is.
        reason: why they are None; empty if they are not.
    """

    labeled: int
    extra: int
    change: float | None
    interval: tuple[float, float] | None
    reason: str


def marginal_values(curve: Mapping[int, ArmValues], extra: int = 10) -> tuple[MarginalValue, ...]:
    """Return score(n + ``extra``) - score(n) for each labeled count n of a curve, in order, with bootstrap intervals.

    ``curve`` maps each labeled count to the values (seeds, cases, classes) float64, nan if excluded, and the seeds'
    names; the test cases are the same, in the same order (``arm_means``). The curve joins the unmodified means by lines
    in the logarithm of the count. It is not made monotone: labels could then never do harm, so that with pure noise
    every change and every interval would be at zero or above. As it is, a change is a weighted sum of means, without
    bias. It keeps the metric's sign: more labels lower a distance.

    Nothing is extrapolated: a count whose target is beyond the curve's last count has None and a reason.

    Raises DataError if ``extra`` is below 1 or the curve has fewer than two counts, and as ``arm_means`` does.
    """
    if extra < 1:
        raise DataError(f"The labels to add have to be 1 or more, not {extra}.")
    require_curve(curve)
    counts = sorted(curve)
    means, samples = arm_means({f"curve at {counted(n, 'label')}": curve[n] for n in counts})
    return tuple(_value(index, counts, extra, means, samples) for index in range(len(counts)))


def _value(index: int, counts: list[int], extra: int, means: Array, samples: Array) -> MarginalValue:
    labeled, target = counts[index], counts[index] + extra
    if target > counts[-1]:
        reason = f"the curve ends at {counted(counts[-1], 'label')}, before {target}, and is not extrapolated"
        return MarginalValue(labeled, extra, None, None, reason)
    weights = _weights(target, counts)
    weights[index] -= 1
    return MarginalValue(labeled, extra, float(means @ weights), interval(samples @ weights), "")


def _weights(target: int, counts: list[int]) -> Array:
    """Return the contribution of each count's mean to the curve's value at a count within it."""
    right = max(1, int(np.searchsorted(counts, target)))
    start, end = np.log(counts[right - 1 : right + 1])
    weights = np.zeros(len(counts))
    weights[right] = (np.log(target) - start) / (end - start)
    weights[right - 1] = 1 - weights[right]
    return weights
