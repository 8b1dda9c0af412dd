"""summary.json of a study's report: all numbers of its findings as plain data."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from semiseg.study_report.findings import Finding, NextLabels
from semiseg.study_report.results import StudyResults
from semiseg.study_report.study_controls import Controlled
from semiseg.study_report.study_metric import StudyMetric
from semiseg.study_report.study_pairs import Pair, adjusted_p, verdict_on


def scope(results: StudyResults, metric: StudyMetric, checkpoint: str, said: Sequence[str]) -> dict[str, Any]:
    """Return the scope of the report and its sentences."""
    return {
        "name": results.name,
        "baseline": results.baseline,
        "checkpoint": checkpoint,
        "metric": metric.name,
        "unit": metric.unit,
        "missing": list(results.missing),
        "sentences": list(said),
    }


def numbers(
    found: Sequence[Finding], controls: Sequence[Controlled], following: Sequence[NextLabels], metric: StudyMetric
) -> dict[str, Any]:
    """Return all numbers.

    ``p_adjusted`` and ``verdict`` are those of the report, with Holm's correction over all comparisons with the
    baseline and, separately, over all comparisons with controls.
    """
    with_baseline = _differences([pair for finding in found for pair in finding.pairs], metric)
    with_controls = _differences([pair for one in controls for pair in one.pairs], metric)
    return {
        "answers": [
            {
                "setting": one.setting,
                "method": one.method,
                "differences": [with_baseline[id(pair)] for pair in one.pairs],
                "label_savings": [asdict(savings) for savings in one.savings],
                "gap_closed": [asdict(gap) for gap in one.gaps],
                "power": [
                    {"labeled": labeled, "test_cases": asdict(cases), "seeds": asdict(seeds)}
                    for labeled, cases, seeds in one.power
                ],
            }
            for one in found
        ],
        "controls": [
            {
                "setting": one.setting,
                "method": one.method,
                "differences": [with_controls[id(pair)] for pair in one.pairs if pair.baseline is not None],
                "no_control": [pair.shown.labeled for pair in one.pairs if pair.baseline is None],
            }
            for one in controls
        ],
        "next_labels": [asdict(one) for one in following],
    }


def _differences(pairs: Sequence[Pair], metric: StudyMetric) -> dict[int, dict[str, Any]]:
    """Return the differences by the ``id`` of their pair."""
    return {
        id(pair): _difference(pair) | {"p_adjusted": p, "verdict": verdict_on(pair, p, metric)}
        for pair, p in zip(pairs, adjusted_p(pairs), strict=True)
    }


def _difference(pair: Pair) -> dict[str, Any]:
    entry = pair.entry(pair.mean)
    figures = {} if entry is None else asdict(entry)
    repeated = f"{pair.shown.repeated}s"
    return {"labeled": pair.shown.labeled, "n": pair.mean.n, repeated: list(pair.seeds), **figures}
