"""What a study found, in sentences: the beginning of its report."""

from collections.abc import Iterator, Sequence

from semiseg.report.arms import StudyResults
from semiseg.report.study_metric import StudyMetric
from semiseg.report.study_pairs import Pair
from semiseg.study.answers import Answers


def sentences(results: StudyResults, found: Sequence[Answers], metric: StudyMetric, checkpoint: str) -> tuple[str, ...]:
    """How the methods compare with the baseline, what labels they save, and what is missing."""
    return tuple(_sentences(results, found, metric, checkpoint))


def _sentences(results: StudyResults, found: Sequence[Answers], metric: StudyMetric, checkpoint: str) -> Iterator[str]:
    models = sum(len(arm.runs) for arm in results.arms)
    yield f"{models} models with scores, {checkpoint} weights; {metric.title} is the mean over classes and test cases."
    if results.missing:
        yield f"{len(results.missing)} models have no scores yet: {', '.join(results.missing)}."
    for answer in found:
        where = f" ({answer.setting})" if answer.setting else ""
        yield from (_compared(pair, metric, results.baseline) + where + "." for pair in answer.pairs)
        yield from (one.sentence(answer.method + where, results.baseline) for one in answer.savings)
        yield from (gap.sentence(answer.method + where, results.baseline) for gap in answer.gaps)


def _compared(pair: Pair, metric: StudyMetric, baseline: str) -> str:
    ours, theirs = pair.values(pair.mean)
    entry = pair.entry(pair.mean)
    digits = metric.digits
    head = f"With {pair.shown.labeled} labeled cases {pair.shown.method} has {_number(theirs, digits)}, {baseline} "
    head += _number(ours, digits)
    if entry is None or entry.difference is None or entry.interval is None or entry.p_adjusted is None:
        return head
    low, high = entry.interval
    p = "p below 0.001" if entry.p_adjusted < 0.001 else f"p {entry.p_adjusted:.3f}"
    verdict = {"better": "better", "worse": "worse", "mixed": "mixed", "": "not told apart"}[entry.verdict]
    interval = f"95 % interval {low:+.{digits}f} to {high:+.{digits}f}"
    return f"{head}: {entry.difference:+.{digits}f} ({interval}, {p}): {verdict}"


def _number(value: float | None, digits: int) -> str:
    return "no value" if value is None else f"{value:.{digits}f}"
