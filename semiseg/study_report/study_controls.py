"""Comparisons of a study's methods with their controls: the same method, trained on the labeled cases only.

The gain of a method over the baseline is due to all of its parts, such as two networks. Its control has all of these
except the unlabeled cases; further labeled samples take their place, as the number of samples per step is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_metric import StudyMetric, method_curve
from semiseg.study_report.study_pairs import MakePair, Pair, make_pair


@dataclass(frozen=True, slots=True, eq=False)
class Controlled:
    """A method that has a control, in one setting.

    Attributes:
        setting: such as the backbone.
        method: the method.
        pairs: for each labeled count of the method, its control (as the pair's baseline) and the method; the control is
            None at a count without a trained and scored control.
    """

    setting: str
    method: str
    pairs: tuple[Pair, ...]


def controlled(results: StudyResults, metric: StudyMetric, make: MakePair = make_pair) -> tuple[Controlled, ...]:
    """Return the methods that have a control at one or more labeled counts, with a pair for each count.

    Each method is taken with the largest total number of cases, as in the comparison with the baseline. Models with
    every training case labeled are no controls, as there are no unlabeled cases to leave out.
    """
    found = []
    for setting, method, curve in _with_unlabeled(results):
        if controls := _controls(results, setting, method):
            pairs = tuple(make(controls.get(arm.labeled), arm, metric) for arm in curve)
            found.append(Controlled(setting, method, pairs))
    return tuple(found)


def control_curve(results: StudyResults, setting: str, method: str) -> tuple[StudyArm, ...]:
    """Return the arms of a method's controls by labeled cases."""
    found = _controls(results, setting, method)
    return tuple(found[labeled] for labeled in sorted(found))


def without_control(results: StudyResults) -> tuple[tuple[str, str], ...]:
    """Return setting and method of those that use unlabeled cases and have no control at any labeled count."""
    found = _with_unlabeled(results)
    return tuple((setting, method) for setting, method, _ in found if not _controls(results, setting, method))


def without_unlabeled(
    results: StudyResults, metric: StudyMetric, make: MakePair = make_pair
) -> Iterator[tuple[str, str, tuple[Pair, ...]]]:
    """Yield for each setting and method its models without unlabeled cases, paired with the baseline by labeled count.

    These pairs show the effect of a method without unlabeled cases. Only methods that use unlabeled cases are included,
    and only counts with a baseline.
    """
    for setting, method, _ in _with_unlabeled(results):
        baseline = {arm.labeled: arm for arm in results.curve(setting, results.baseline)}
        alone = [arm for arm in _alone(results, setting, method) if arm.labeled in baseline]
        if alone:
            yield setting, method, tuple(make(baseline[arm.labeled], arm, metric) for arm in alone)


def _with_unlabeled(results: StudyResults) -> Iterator[tuple[str, str, tuple[StudyArm, ...]]]:
    """Yield setting, method and arms with unlabeled cases, if there are any, of labeled cases drawn at random."""
    for setting in results.settings:
        for method in results.methods:
            if method in results.rules:
                continue
            curve = method_curve(results, setting, method)
            if arms := tuple(arm for arm in curve if arm.total > arm.labeled):
                yield setting, method, arms


def _alone(results: StudyResults, setting: str, method: str) -> tuple[StudyArm, ...]:
    arms = (arm for arm in results.arms if (arm.setting, arm.method) == (setting, method))
    return tuple(arm for arm in arms if arm.total == arm.labeled)


def _controls(results: StudyResults, setting: str, method: str) -> dict[int, StudyArm]:
    alone = _alone(results, setting, method)
    return {arm.labeled: arm for arm in alone if arm.labeled < results.training_cases}
