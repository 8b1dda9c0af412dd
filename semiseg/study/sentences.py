"""What a study found, in sentences: the beginning of its report."""

from collections.abc import Iterator, Sequence

from semiseg.evaluation.compare_metric import verdict_of
from semiseg.report import table_cells as cells
from semiseg.report.arms import StudyResults
from semiseg.report.study_metric import StudyMetric
from semiseg.report.study_pairs import Pair, adjusted_p
from semiseg.study.answers import Answers


def sentences(results: StudyResults, found: Sequence[Answers], metric: StudyMetric, checkpoint: str) -> tuple[str, ...]:
    """How the methods compare with the baseline, what labels they save, and what is missing."""
    return tuple(_sentences(results, found, metric, checkpoint))


def _sentences(results: StudyResults, found: Sequence[Answers], metric: StudyMetric, checkpoint: str) -> Iterator[str]:
    models = sum(len(arm.runs) for arm in results.arms)
    yield f"{models} models with scores, {checkpoint} weights; {metric.title} is the mean over classes and test cases."
    if results.missing:
        yield f"{len(results.missing)} models have no scores yet: {', '.join(results.missing)}."
    adjusted = iter(adjusted_p([pair for answer in found for pair in answer.pairs]))
    for answer in found:
        where = f" ({answer.setting})" if answer.setting else ""
        yield from (_compared(pair, metric, results.baseline, next(adjusted)) + where + "." for pair in answer.pairs)
        yield from (one.sentence(answer.method + where, results.baseline) for one in answer.savings)
        yield from (gap.sentence(answer.method + where, results.baseline) for gap in answer.gaps)


def _compared(pair: Pair, metric: StudyMetric, baseline: str, p: float | None) -> str:
    ours, theirs = pair.values(pair.mean)
    entry = pair.entry(pair.mean)
    digits = metric.digits
    ours_text, theirs_text = (cells.number(value, digits).text for value in (ours, theirs))
    head = f"With {pair.shown.labeled} labeled cases {pair.shown.method} has {theirs_text}, {baseline} {ours_text}"
    if entry is None or entry.difference is None or entry.interval is None or p is None:
        return head
    difference = cells.number(entry.difference, digits, signed=True).text
    interval = cells.interval(entry.interval, digits, signed=True).text
    said = "p below 0.001" if p < 0.001 else f"p {p:.3f}"
    verdict = verdict_of(entry, p, metric.higher_is_better) or "not told apart"
    return f"{head}: {difference} (95 % interval {interval}, {said}): {verdict}"
