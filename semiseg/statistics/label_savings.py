"""Label savings: the number of labels with which the baseline reaches a method's score."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import isotonic_regression

from semiseg.errors import DataError
from semiseg.messages import counted
from semiseg.statistics.label_curve import ArmValues, Array, arm_means, interval, require_curve
from semiseg.statistics.paired import without_noise

Side = Literal["", "below", "above"]
FAR = 2.5
"""Ratio of neighboring counts above which reading the curve between them gets a note."""
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class LabelSavings:
    """The number of the baseline's labels that a method's score is worth.

    A number outside the baseline's curve is None, and its side is ``below`` (fewer than the curve's smallest count) or
    ``above`` (more than its largest); within the curve the side is empty.

    Attributes:
        labeled: the method's labeled cases.
        worth: the baseline's labeled cases for the same score.
        side: side of ``worth``.
        low: lower end of the 95 % interval.
        low_side: side of ``low``.
        high: upper end.
        high_side: side of ``high``.
        share_below: fraction of bootstrap samples below the curve.
        share_above: fraction of bootstrap samples above it.
        curve_ends: the smallest and the largest labeled count of the baseline.
        between: the labeled counts of the baseline on either side of ``worth``; None if that is outside the curve.
        falls: the two labeled counts of the baseline between which its mean worsens most with more labels; None if more
            labels are never worse. The curve is made monotone there.
    """

    labeled: int
    worth: float | None
    side: Side
    low: float | None
    low_side: Side
    high: float | None
    high_side: Side
    share_below: float
    share_above: float
    curve_ends: tuple[int, int]
    between: tuple[int, int] | None = None
    falls: tuple[int, int] | None = None

    @property
    def below(self) -> bool:
        """Whether the method scores worse than the baseline with its fewest labels."""
        return self.side == "below"

    @property
    def above(self) -> bool:
        """Whether the method scores better than the baseline with its most labels."""
        return self.side == "above"

    @property
    def may_be_nothing(self) -> bool:
        """Whether the interval includes the method's own number of labels."""
        low = -math.inf if self.low is None and self.low_side == "below" else self.low
        high = math.inf if self.high is None and self.high_side == "above" else self.high
        return low is not None and high is not None and low * (1 - _SLACK) <= self.labeled <= high * (1 + _SLACK)

    @property
    def is_read_far(self) -> bool:
        """Whether the counts on either side of ``worth`` are so far apart that the line between them determines it."""
        return self.between is not None and self.between[1] > FAR * self.between[0]


def label_savings(
    baseline: Mapping[int, ArmValues], method: Mapping[int, ArmValues], *, higher_is_better: bool
) -> tuple[LabelSavings, ...]:
    """Return the worth of each of a method's points in labels of the baseline, ordered by labeled count.

    ``baseline`` and ``method`` map each labeled count to the values (seeds, cases, classes) float64, nan if excluded,
    and the seeds' names; the test cases are the same, in the same order (``arm_means``).

    The baseline's means are made monotone in the labeled count (isotonic regression with equal weights) and joined by
    lines in the logarithm of the count. A score's worth is the smallest count at which that curve reaches it; along a
    flat part, this is the part's first count. A score that the curve does not reach is worth more than its largest
    count, and one worse than its start is worth less than its smallest; neither is extrapolated. All of this, including
    the curve, is repeated in every bootstrap sample. Samples outside the curve count as infinitely many or few, and an
    end of the percentile interval that falls on one of them is a bound.

    If the curve is flat within the noise, pooling makes its last count's value somewhat high and its first one's low.

    Raises DataError if the curve has fewer than two counts or ends worse than it starts, and as ``arm_means`` does.

    Sources: R. E. Barlow et al., Statistical Inference under Order Restrictions, 1972 (pool adjacent violators);
    B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    require_curve(baseline)
    counts, points = sorted(baseline), sorted(method)
    arms = {f"baseline with {counted(n, 'label')}": baseline[n] for n in counts}
    arms |= {f"method with {counted(n, 'label')}": method[n] for n in points}
    means, samples = arm_means(arms)
    rows = np.vstack([means, samples]) if higher_is_better else -np.vstack([means, samples])
    falls = _falls(counts, rows[0])
    curves = np.array([isotonic_regression(row).x for row in rows[:, : len(counts)]])
    # Pooling equal values may change their last digits, and thus whether an equal score reaches the curve.
    largest = float(np.abs(rows).max())
    curves, scores = without_noise(curves, largest), without_noise(rows[:, len(counts) :], largest)
    found = [_worth(np.array(counts, float), curves, column) for column in scores.T]
    return tuple(_savings(labeled, worth, counts, falls) for labeled, worth in zip(points, found, strict=True))


def _falls(counts: Sequence[int], means: Array) -> tuple[int, int] | None:
    """Return the counts between which the baseline's means (higher is better) drop most."""
    if means[len(counts) - 1] < means[0]:
        fewest, most = counts[0], counts[-1]
        raise DataError(
            f"The baseline scores worse with {most} labels than with {fewest}: a falling curve has no label savings."
        )
    pairs = [(means[j] - means[i], counts[i], counts[j]) for j in range(len(counts)) for i in range(j)]
    change, start, end = min(pairs)
    return (start, end) if change < 0 else None


def _worth(counts: Array, curves: Array, scores: Array) -> Array:
    """Return where nondecreasing curves (rows, counts) reach the scores (rows,); ±inf if outside the curves."""
    rows, last = np.arange(len(scores)), len(counts) - 1
    first = (curves < scores[:, None]).sum(axis=1)  # the first count whose value is not below the score
    right = np.clip(first, 1, last)
    start, end = curves[rows, right - 1], curves[rows, right]
    # If first is 0, the score is below the curve or at its start; past the last, it is above the curve.
    inside = (first > 0) & (first <= last)
    share = np.divide(scores - start, end - start, out=np.zeros(len(scores)), where=inside)
    worth: Array = counts[right - 1] * (counts[right] / counts[right - 1]) ** share
    worth = np.where(share == 1, counts[right], worth)  # exact for a count with trained models
    worth[scores < curves[:, 0]] = -math.inf
    worth[scores > curves[:, -1]] = math.inf
    return worth


def _savings(labeled: int, worth: Array, counts: Sequence[int], falls: tuple[int, int] | None) -> LabelSavings:
    """Build the result from the worth in the data (first) and in the samples (rest)."""
    samples = worth[1:]
    low, high = interval(samples)
    shares = float((samples == -math.inf).mean()), float((samples == math.inf).mean())
    between = None
    if math.isfinite(worth[0]):
        right = min(max(bisect_left(counts, float(worth[0]) - _SLACK), 1), len(counts) - 1)
        between = counts[right - 1], counts[right]
    sided = (*_sided(float(worth[0])), *_sided(low), *_sided(high))
    return LabelSavings(labeled, *sided, *shares, (counts[0], counts[-1]), between, falls)


def _sided(value: float) -> tuple[float | None, Side]:
    if math.isfinite(value):
        return value, ""
    return None, "above" if value > 0 else "below"
