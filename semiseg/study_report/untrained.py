"""Models of a study that have not learned to segment, and verdicts withheld for that reason."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from semiseg.comparison.chance import are_untrained, best_dice
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_metric import StudyMetric
from semiseg.study_report.study_pairs import MakePair, Pair, make_pair


def is_untrained(arm: StudyArm) -> bool:
    """Return whether no model of the arm has learned to segment."""
    return are_untrained(arm.runs)


def without_baseline(results: StudyResults) -> tuple[str, ...]:
    """Return the settings in which no scored baseline has learned to segment; nothing is judged in them."""
    arms = {name: baseline_arms(results, name) for name in results.settings}
    return tuple(name for name, found in arms.items() if found and all(map(is_untrained, found)))


def nothing_is_judged(results: StudyResults) -> bool:
    """Return whether this holds for every setting whose baseline has scores."""
    settings = [name for name in results.settings if baseline_arms(results, name)]
    return bool(settings) and settings == list(without_baseline(results))


def baseline_arms(results: StudyResults, setting: str) -> tuple[StudyArm, ...]:
    """Return the baseline's arms in a setting."""
    return tuple(arm for arm in results.arms if (arm.setting, arm.method) == (setting, results.baseline))


def best_arm(arms: Sequence[StudyArm]) -> tuple[StudyArm, float]:
    """Return the arm of the model with the best Dice, and that Dice; at least one arm must have a Dice."""
    found = [(arm, dice) for arm in arms if (dice := best_dice(arm.runs)) is not None]
    return max(found, key=lambda pair: pair[1])


def pair_maker(results: StudyResults) -> MakePair:
    """Return a cached ``make_pair`` that also withholds the verdict if the setting's baseline has not learned."""
    withheld = without_baseline(results)

    @cache
    def make(baseline: StudyArm | None, arm: StudyArm | None, metric: StudyMetric) -> Pair:
        pair = make_pair(baseline, arm, metric)
        if pair.withheld or pair.shown.setting not in withheld:
            return pair
        return replace(pair, withheld="the baseline has not learned to segment")

    return make
