"""Findings of a study in its main metric: the labels saved by unlabeled cases, with uncertainty."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from semiseg.errors import DataError
from semiseg.statistics.bootstrap import finite_mean
from semiseg.statistics.gap_closed import GapClosed, gap_closed
from semiseg.statistics.label_curve import ArmValues
from semiseg.statistics.label_savings import LabelSavings, label_savings
from semiseg.statistics.marginal_value import MarginalValue, marginal_values
from semiseg.statistics.power import PowerPlan, plan_cases, plan_seeds
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_metric import StudyMetric, arm_values, method_curve
from semiseg.study_report.study_pairs import MakePair, Pair, make_pair
from semiseg.study_report.untrained import is_untrained, without_baseline

NEXT = 10
"""Number of next labels whose value is reported: "the next ten"."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Results of one method in one setting, compared with the baseline.

    Attributes:
        setting: such as the backbone.
        method: the method.
        pairs: the method and the baseline, for each labeled count that both have.
        savings: for each labeled count of the method whose models have learned to segment; empty if the baseline has
            fewer than two counts, or none of its models has learned.
        gaps: for each labeled count below the full one that both have; empty without a fully labeled baseline.
        power: for each pair, of test cases and of seeds; like gaps, only for pairs that are judged.
        not_computed: reasons why requested values could not be computed.
    """

    setting: str
    method: str
    pairs: tuple[Pair, ...]
    savings: tuple[LabelSavings, ...]
    gaps: tuple[GapClosed, ...]
    power: tuple[tuple[int, PowerPlan, PowerPlan], ...]
    not_computed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NextLabels:
    """Value of the next labels along one method's curve."""

    setting: str
    method: str
    values: tuple[MarginalValue, ...]


def findings(
    results: StudyResults, metric: StudyMetric, make: MakePair = make_pair, *, savings: bool = True
) -> tuple[Finding, ...]:
    """Return the findings for each setting and method, in order; without ``savings`` only the pairs, which is quick."""
    found = (
        _finding(results, metric, setting, method, make, savings)
        for setting in results.settings
        for method in results.methods
    )
    return tuple(finding for finding in found if finding is not None)


def next_labels(results: StudyResults, metric: StudyMetric) -> tuple[NextLabels, ...]:
    """Return the value of the next ten labels, for the baseline and each method with at least two labeled counts.

    Methods without a model that has learned to segment are left out.
    """
    found = []
    for setting in results.settings:
        for method in (results.baseline, *results.methods):
            curve = method_curve(results, setting, method)
            if len(curve) > 1 and not all(map(is_untrained, curve)):
                with suppress(DataError):  # reported with the findings
                    found.append(NextLabels(setting, method, marginal_values(_values(curve, metric), NEXT)))
    return tuple(found)


def _finding(
    results: StudyResults, metric: StudyMetric, setting: str, method: str, make: MakePair, all_of_it: bool
) -> Finding | None:
    curve = method_curve(results, setting, method)
    if not curve:
        return None
    baseline = {arm.labeled: arm for arm in results.curve(setting, results.baseline)}
    shared = [(baseline[arm.labeled], arm) for arm in curve if arm.labeled in baseline]
    pairs = tuple(make(ours, arm, metric) for ours, arm in shared)
    if not all_of_it:
        return Finding(setting, method, pairs, (), (), ())
    not_computed: list[str] = []
    savings: tuple[LabelSavings, ...] = ()
    learned = [arm for arm in curve if not is_untrained(arm)]
    if setting in without_baseline(results):
        not_computed.append(f"no {results.baseline} model has learned to segment")
    elif len(baseline) > 1 and learned:
        with _noted(not_computed):
            curves = _values(list(baseline.values()), metric), _values(learned, metric)
            savings = label_savings(*curves, higher_is_better=metric.higher_is_better)
    shared = [(ours, arm) for (ours, arm), pair in zip(shared, pairs, strict=True) if not pair.withheld]
    gaps: list[GapClosed] = []
    power: list[tuple[int, PowerPlan, PowerPlan]] = []
    with _noted(not_computed):
        gaps += _gaps(results, metric, setting, shared)
        power += [(arm.labeled, *_power(ours, arm, metric)) for ours, arm in shared]
    return Finding(setting, method, pairs, savings, tuple(gaps), tuple(power), tuple(dict.fromkeys(not_computed)))


@contextmanager
def _noted(not_computed: list[str]) -> Iterator[None]:
    """Record values that cannot be computed, for example from one common case, and continue the report."""
    try:
        yield
    except DataError as error:
        not_computed += [problem.what for problem in error.problems]


def _gaps(
    results: StudyResults, metric: StudyMetric, setting: str, shared: Sequence[tuple[StudyArm, StudyArm]]
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


def _power(ours: StudyArm, arm: StudyArm, metric: StudyMetric) -> tuple[PowerPlan, PowerPlan]:
    (first, names), (second, others) = _value(arm, metric), _value(ours, metric)
    pair = (finite_mean(first, axis=2), names), (finite_mean(second, axis=2), others)
    seeds = plan_seeds(*pair)
    if "fold" in (ours.repeated, arm.repeated):
        why = "folds of one seed share labeled cases"
        seeds = replace(seeds, needed=None, achieved=None, detectable=None, reason=why)
    return plan_cases(*pair), seeds


def _values(arms: Sequence[StudyArm], metric: StudyMetric) -> Mapping[int, ArmValues]:
    return {arm.labeled: _value(arm, metric) for arm in arms}


def _value(arm: StudyArm, metric: StudyMetric) -> ArmValues:
    return arm_values(arm, metric), arm.seeds
