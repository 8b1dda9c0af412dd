"""Sentences of a study's report on models that have not learned to segment."""

from collections.abc import Iterator, Sequence

from semiseg.comparison.chance import dice_text, nothing_learned
from semiseg.messages import counted
from semiseg.study_report.findings import Finding
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_pairs import Pair
from semiseg.study_report.text.sentences import named
from semiseg.study_report.untrained import baseline_arms, best_arm, is_untrained, nothing_is_judged, without_baseline


def untrained_headlines(results: StudyResults, found: Sequence[Finding]) -> Iterator[str]:
    """Yield sentences on untrained models: all of a study, all baselines of a setting, or both arms of a pair.

    Yields nothing if every pair has a model that has learned.
    """
    settings = without_baseline(results)
    if nothing_is_judged(results) and all(map(is_untrained, results.arms)):
        arm, dice = best_arm([arm for setting in settings for arm in baseline_arms(results, setting)])
        yield nothing_learned(f"the best baseline, {_with(arm)},", dice)
        return
    for setting in settings:
        arm, dice = best_arm(baseline_arms(results, setting))
        best, its = best_arm([arm for arm in results.arms if arm.setting == setting])
        learned = "" if is_untrained(best) else f" {_with(best)} has {its:.2f}, but nothing to be compared with."
        yield (
            f"The baseline has not learned to segment: the best, {_with(arm)}, has {dice_text(dice)}. "
            f"No conclusions are drawn about methods compared with it.{learned} Train longer, or with more labels."
        )
    for finding in found:
        if finding.setting not in settings:
            yield from (_neither(pair, finding, results.baseline) for pair in finding.pairs if pair.withheld)


def _neither(pair: Pair, finding: Finding, baseline: str) -> str:
    _, dice = best_arm([arm for arm in (pair.baseline, pair.arm) if arm is not None])
    return (
        f"With {counted(pair.shown.labeled, 'label')} neither {named(finding.method, finding.setting)} nor {baseline} "
        f"has learned to segment: the best model has {dice_text(dice)}. No conclusions are drawn there. Train longer."
    )


def _with(arm: StudyArm) -> str:
    return f"{named(arm.method, arm.setting)} with {counted(arm.labeled, 'label')}"
