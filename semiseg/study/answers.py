"""What a study answers by its main metric: what labels unlabeled cases save, and how certain that is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from semiseg.evaluation.bootstrap import finite_mean
from semiseg.evaluation.gap_closed import GapClosed, gap_closed
from semiseg.evaluation.label_curve import ArmValues
from semiseg.evaluation.label_savings import LabelSavings, label_savings
from semiseg.evaluation.marginal_value import MarginalValue, marginal_values
from semiseg.evaluation.power_plan import PowerPlan, plan_cases, plan_seeds
from semiseg.report.arms import Arm, StudyResults
from semiseg.report.study_metric import StudyMetric, arm_values, method_curve
from semiseg.report.study_pairs import Pair, make_pair

NEXT = 10
"""Labels whose value is told: "the next ten"."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one method's results say, in one setting, beside the baseline's.

    Attributes:
        setting: such as the backbone.
        method: the method.
        pairs: the method beside the baseline, for each labeled count that both have.
        savings: for each labeled count of the method; empty where the baseline has fewer than two.
        gaps: for each labeled count that both have and that is not all; empty without a fully labeled baseline.
        power: for each pair, of test cases and of seeds.
    """

    setting: str
    method: str
    pairs: tuple[Pair, ...]
    savings: tuple[LabelSavings, ...]
    gaps: tuple[GapClosed, ...]
    power: tuple[tuple[int, PowerPlan, PowerPlan], ...]


@dataclass(frozen=True, slots=True)
class NextLabels:
    """The value of the next labels along one method's curve."""

    setting: str
    method: str
    values: tuple[MarginalValue, ...]


def answers(results: StudyResults, metric: StudyMetric) -> tuple[Answers, ...]:
    """The answers for each setting and method, in their order."""
    found = (
        _answers(results, metric, setting, method, method_curve(results, setting, method))
        for setting in results.settings
        for method in results.methods
    )
    return tuple(answer for answer in found if answer is not None)


def next_labels(results: StudyResults, metric: StudyMetric) -> tuple[NextLabels, ...]:
    """The value of the next ten labels, for the baseline and each method with two labeled counts or more."""
    return tuple(
        NextLabels(setting, method, marginal_values(_values(curve, metric), NEXT))
        for setting in results.settings
        for method in (results.baseline, *results.methods)
        if len(curve := method_curve(results, setting, method)) > 1
    )


def record(found: Sequence[Answers], following: Sequence[NextLabels]) -> dict[str, Any]:
    """All figures as plain data, for summary.json."""
    return {
        "answers": [
            {
                "setting": one.setting,
                "method": one.method,
                "differences": [_difference(pair) for pair in one.pairs],
                "label_savings": [asdict(savings) for savings in one.savings],
                "gap_closed": [asdict(gap) for gap in one.gaps],
                "power": [
                    {"labeled": labeled, "test_cases": asdict(cases), "seeds": asdict(seeds)}
                    for labeled, cases, seeds in one.power
                ],
            }
            for one in found
        ],
        "next_labels": [asdict(one) for one in following],
    }


def _answers(
    results: StudyResults, metric: StudyMetric, setting: str, method: str, curve: Sequence[Arm]
) -> Answers | None:
    if not curve:
        return None
    baseline = {arm.labeled: arm for arm in results.curve(setting, results.baseline)}
    shared = [(baseline[arm.labeled], arm) for arm in curve if arm.labeled in baseline]
    higher = metric.higher_is_better
    savings: tuple[LabelSavings, ...] = ()
    if len(baseline) > 1:
        savings = label_savings(
            _values(list(baseline.values()), metric), _values(curve, metric), higher_is_better=higher
        )
    pairs = tuple(make_pair(ours, arm, metric) for ours, arm in shared)
    power = tuple((arm.labeled, *_power(ours, arm, metric)) for ours, arm in shared)
    return Answers(setting, method, pairs, savings, tuple(_gaps(results, metric, setting, shared)), power)


def _gaps(
    results: StudyResults, metric: StudyMetric, setting: str, shared: Sequence[tuple[Arm, Arm]]
) -> Iterator[GapClosed]:
    full = results.full(setting)
    for ours, arm in shared:
        if full is not None and arm.labeled < full.labeled:
            yield gap_closed(
                _value(arm, metric),
                _value(ours, metric),
                _value(full, metric),
                labeled=arm.labeled,
                full_labeled=full.labeled,
                higher_is_better=metric.higher_is_better,
            )


def _power(ours: Arm, arm: Arm, metric: StudyMetric) -> tuple[PowerPlan, PowerPlan]:
    (first, names), (second, others) = _value(arm, metric), _value(ours, metric)
    pair = (finite_mean(first, axis=2), names), (finite_mean(second, axis=2), others)
    return plan_cases(*pair), plan_seeds(*pair)


def _values(arms: Sequence[Arm], metric: StudyMetric) -> Mapping[int, ArmValues]:
    return {arm.labeled: _value(arm, metric) for arm in arms}


def _value(arm: Arm, metric: StudyMetric) -> ArmValues:
    return arm_values(arm, metric), arm.as_method().seeds


def _difference(pair: Pair) -> dict[str, Any]:
    entry = pair.entry(pair.mean)
    figures = {} if entry is None else asdict(entry)
    return {"labeled": pair.shown.labeled, "n": pair.mean.n, "seeds": list(pair.seeds), **figures}
