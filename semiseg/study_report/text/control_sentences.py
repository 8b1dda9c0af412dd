"""Sentences on the effect of unlabeled cases: gains of methods over their controls."""

from collections.abc import Iterator, Sequence

from semiseg.messages import counted, some
from semiseg.render import cells
from semiseg.study_report.results import StudyResults
from semiseg.study_report.study_controls import Controlled, without_control
from semiseg.study_report.study_metric import StudyMetric
from semiseg.study_report.study_pairs import Pair, verdicts_on
from semiseg.study_report.text.sentences import named

_NAMED = 6


def control_headlines(results: StudyResults, found: Sequence[Controlled], metric: StudyMetric) -> Iterator[str]:
    """Yield a sentence for each method that has a control, with the verdict at each labeled count.

    Then one on the methods that use unlabeled cases and have no control. Verdicts are with Holm's correction over all
    comparisons with controls.
    """
    pairs = [pair for one in found for pair in one.pairs]
    verdicts = iter(verdicts_on(pairs, metric))
    for one in found:
        parts = [_part(pair, next(verdicts), metric) for pair in one.pairs]
        yield (
            f"Did the unlabeled cases help? {named(one.method, one.setting)} compared with its control, the same "
            f"without unlabeled cases, by {metric.title}: {'; '.join(parts)}."
        )
    if lacking := [named(method, setting) for setting, method in without_control(results)]:
        yield (
            f"No control: no scored model of {some(lacking, _NAMED)} was trained on the labeled cases alone, so the "
            "effect of unlabeled cases cannot be separated from the rest of the method."
        )


def _part(pair: Pair, verdict: str, metric: StudyMetric) -> str:
    count = counted(pair.shown.labeled, "label")
    if pair.baseline is None:
        return f"with {count} there is no control"
    if pair.withheld:
        return f"with {count} {verdict}, since {pair.withheld}"
    entry = pair.entry(pair.mean)
    if entry is None or entry.difference is None:
        return f"with {count} {verdict} (no case has values of both)"
    said = [cells.number(entry.difference, metric.digits, signed=True).text]
    if entry.interval is None:
        said.append("no interval from one case")
    else:
        said.append(f"95 % interval {cells.interval(entry.interval, metric.digits, signed=True).text}")
    if pair.seeds_differ:
        said.append(f"{pair.shown.repeated}s {'/'.join(map(str, pair.seeds))}: not the same labeled sets")
    return f"with {count} {verdict} ({', '.join(said)})"
