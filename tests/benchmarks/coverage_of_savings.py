"""How often the 95 % intervals of label savings and of the share of the gap hold the truth, by simulation.

python tests/benchmarks/coverage_of_savings.py

Made arms of 30 cases whose mean is 0.2 log(labels), so that the truth is known: a method with 5 labels that is worth
25, on a curve with 5, 10, 20, 40 and 80. Values are the sum of the case's level (common to all arms), the case's own
level in each arm, the seed's in each arm, and noise. 400 studies each, 400 bootstrap samples.
"""

import math

import numpy as np

from semiseg.statistics import bootstrap
from semiseg.statistics.gap_closed import gap_closed
from semiseg.statistics.label_savings import LabelSavings, label_savings

CASES, STUDIES, SAMPLES = 30, 400, 400
CURVE, LABELED, WORTH = (5, 10, 20, 40, 80), 5, 25
SITUATIONS = {
    "cases differ most between arms": (0.1, 0.0, 0.02, (3, 5)),
    "seeds differ most": (0.01, 0.05, 0.02, (3, 5, 10)),
    "noise within cases and seeds is most": (0.01, 0.01, 0.1, (3, 5)),
}


def coverage(of_case: float, of_seed: float, noise: float, n_seeds: int) -> tuple[float, float]:
    """The shares of studies in which the intervals of the two hold the truth."""
    savings, gaps = [], []
    for study in range(STUDIES):
        draw = np.random.default_rng(study)
        levels = draw.normal(0, 0.3, (1, CASES, 1))

        def arm(labels, draw=draw, levels=levels):
            values = 0.2 * math.log(labels) + levels + draw.normal(0, of_case, (1, CASES, 1))
            values = values + draw.normal(0, of_seed, (n_seeds, 1, 1)) + draw.normal(0, noise, (n_seeds, CASES, 1))
            return values, tuple(range(n_seeds))

        curve, method = {labels: arm(labels) for labels in CURVE}, arm(WORTH)
        (found,) = label_savings(curve, {LABELED: method}, higher_is_better=True)
        savings.append(_holds(found))
        gap = gap_closed(
            method, curve[LABELED], curve[CURVE[-1]], labeled=LABELED, full_labeled=CURVE[-1], higher_is_better=True
        )
        if gap.interval is not None:
            truth = math.log(WORTH / LABELED) / math.log(CURVE[-1] / LABELED)
            gaps.append(gap.interval[0] <= truth <= gap.interval[1])
    return float(np.mean(savings)), float(np.mean(gaps))


def _holds(found: LabelSavings) -> bool:
    ends = {"below": -math.inf, "above": math.inf}
    low = ends.get(found.low_side, found.low)
    high = ends.get(found.high_side, found.high)
    return low <= WORTH <= high


if __name__ == "__main__":
    bootstrap.RESAMPLES = SAMPLES
    print("| what varies most | seeds | label savings | share of the gap |\n|---|---|---|---|")
    for title, (of_case, of_seed, noise, counts) in SITUATIONS.items():
        for n_seeds in counts:
            shares = coverage(of_case, of_seed, noise, n_seeds)
            print(f"| {title} | {n_seeds} | {shares[0]:.0%} | {shares[1]:.0%} |", flush=True)
