"""Scores in the form of a report's per-case table."""

import math
from collections.abc import Iterable, Mapping, Sequence

from semiseg.render.document import CaseScore
from semiseg.scoring.score_case import Score

STATUSES: Mapping[str, str] = {
    "ok": "found",
    "missed": "missed",
    "spurious": "spurious: not in the reference",
    "both_empty": "in neither",
}
"""Statuses of ``scores.csv`` in words."""


def case_scores(scores: Iterable[Score], run: str = "") -> tuple[CaseScore, ...]:
    """Return the rows of the table; a given ``run`` replaces the scores' own."""
    return tuple(
        CaseScore(
            run or score.run,
            score.checkpoint,
            score.case,
            score.class_name,
            _metric(score),
            score.value if math.isfinite(score.value) else None,
            _shown(score),
            STATUSES.get(score.status, score.status),
        )
        for score in scores
    )


def worst_cases(
    scores: Iterable[Score], metric: str, *, higher_is_better: bool, count: int
) -> Sequence[tuple[str, float]]:
    """Return the worst cases by the mean of a metric over its class scores, worst first.

    Cases without a finite value are left out.
    """
    values: dict[str, list[float]] = {}
    for score in scores:
        if score.metric == metric and score.kind == "class" and math.isfinite(score.value):
            values.setdefault(score.case, []).append(score.value)
    means = [(case, sum(found) / len(found)) for case, found in values.items()]
    means.sort(key=lambda pair: (pair[1] if higher_is_better else -pair[1], pair[0]))
    return means[:count]


def _metric(score: Score) -> str:
    return score.metric if score.unit == "1" else f"{score.metric} [{score.unit}]"


def _shown(score: Score) -> str:
    if math.isnan(score.value):
        return "undefined"
    if math.isinf(score.value):
        return "infinite"
    return f"{score.value:.3f}" if score.unit == "1" else f"{score.value:.2f}"
