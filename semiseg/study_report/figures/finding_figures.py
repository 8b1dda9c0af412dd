"""The findings of a study as figures."""

from collections.abc import Sequence

from semiseg.render.document import Figure
from semiseg.study_report.figures.notes import interval_note
from semiseg.study_report.figures.savings import CurvePoint, SavingsPanel, SavingsPoint, savings_figure
from semiseg.study_report.findings import Finding
from semiseg.study_report.results import StudyResults
from semiseg.study_report.study_metric import Estimate, StudyMetric, estimate


def savings_of(results: StudyResults, found: Sequence[Finding], metric: StudyMetric) -> tuple[Figure, ...]:
    """Return one figure of the labels saved by each method in each setting; empty if the findings hold no savings."""
    shown: list[Estimate] = []
    panels = []
    for finding in found:
        curve = []
        for arm in results.curve(finding.setting, results.baseline):
            ours = estimate(arm, metric)
            if ours.mean is not None and ours.interval is not None:
                curve.append(CurvePoint(arm.labeled, ours.mean, *ours.interval))
                shown += [ours] if finding.savings else []
        points = []
        for savings in finding.savings:
            method_arm = results.find(finding.setting, finding.method, savings.labeled)
            theirs = estimate(method_arm, metric) if method_arm is not None else None
            if theirs is not None and theirs.mean is not None and theirs.interval is not None:
                worth = (savings.worth, savings.low, savings.high)
                points.append(SavingsPoint(savings.labeled, theirs.mean, *theirs.interval, *worth))
                shown.append(theirs)
        panels.append(SavingsPanel(finding.setting, finding.method, points, curve))
    figure = savings_figure(
        panels,
        baseline=results.baseline,
        metric=metric.directed_axis,
        higher_is_better=metric.higher_is_better,
        digits=metric.digits,
        note=interval_note("Band and vertical bars", shown),
    )
    return () if figure is None else (figure,)
