"""The fraction of the gap to full supervision that a method closes without more labels."""

from dataclasses import dataclass

import numpy as np

from semiseg.messages import counted
from semiseg.statistics.label_curve import LEVEL, ArmValues, arm_means, interval


@dataclass(frozen=True, slots=True)
class GapClosed:
    """(method - baseline) / (full - baseline), which is 1 if the method scores as well as full supervision.

    Attributes:
        labeled: labeled cases of the method and the baseline.
        full_labeled: labeled cases of full supervision.
        share: the ratio in the data; None if the gap may be zero.
        interval: its 95 % interval; None if undefined.
        gap: full - baseline, in the metric's unit; positive if full supervision is better.
        gap_interval: its 95 % interval.
        reason: why ``share`` or ``interval`` is None; empty if neither is.
    """

    labeled: int
    full_labeled: int
    share: float | None
    interval: tuple[float, float] | None
    gap: float
    gap_interval: tuple[float, float]
    reason: str


def gap_closed(
    method: ArmValues,
    baseline: ArmValues,
    full: ArmValues,
    *,
    labeled: int,
    full_labeled: int,
    higher_is_better: bool,
) -> GapClosed:
    """Return the fraction of the gap between the baseline with ``labeled`` and ``full_labeled`` cases that is closed.

    Values are as in ``label_savings``: (seeds, cases, classes) float64 and the seeds' names, of the same test cases.
    The interval is from the percentile bootstrap with samples shared by all three (``arm_means``).

    A ratio has a bounded interval only if its denominator is clearly not 0 (Fieller). So there is no ratio if the gap's
    own interval includes 0 or the gap has the wrong sign, and no interval of the ratio if the gap is at most 0 in any
    of the samples.

    Raises DataError as ``arm_means`` does.

    Source: E. C. Fieller, Some problems in interval estimation, Journal of the Royal Statistical Society B 16, 1954.
    """
    means, samples = arm_means({"method": method, "baseline": baseline, "full": full})
    sign = 1 if higher_is_better else -1
    gain, gap = sign * (means[0] - means[1]), sign * (means[2] - means[1])
    gains, gaps = sign * (samples[:, 0] - samples[:, 1]), sign * (samples[:, 2] - samples[:, 1])
    low, high = interval(gaps)
    share: float | None = None
    ends: tuple[float, float] | None = None
    reason = ""
    if gap <= 0:
        reason = f"the baseline is no better with {counted(full_labeled, 'label')} than with {labeled}"
    elif low <= 0:
        reason = f"the gap itself, {gap:.3g} ({100 * LEVEL:g} % interval {low:.3g} to {high:.3g}), may be zero"
    else:
        share = float(gain / gap)
        wrong = float((gaps <= 0).mean())
        if wrong:
            reason = f"in {_percent(wrong)} of the bootstrap samples there is no gap to close"
        else:
            ends = interval(np.divide(gains, gaps))
    return GapClosed(labeled, full_labeled, share, ends, float(gap), (low, high), reason)


def _percent(share: float) -> str:
    return "less than 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
