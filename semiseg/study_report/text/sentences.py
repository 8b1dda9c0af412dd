"""Sentences with a study's results for each number of labeled cases."""

from collections.abc import Sequence

from semiseg.render import cells
from semiseg.study_report.findings import Finding
from semiseg.study_report.study_controls import Controlled
from semiseg.study_report.study_metric import StudyMetric
from semiseg.study_report.study_pairs import Pair, adjusted_p, verdict_on
from semiseg.study_report.text.savings_sentences import gap_sentence, savings_sentence


def comparisons(found: Sequence[Finding | Controlled], metric: StudyMetric, against: str) -> tuple[str, ...]:
    """Compare each method with the baseline or its control, named by ``against``, with Holm's p over all of them."""
    pairs = [(one, pair) for one in found for pair in one.pairs]
    adjusted = adjusted_p([pair for _, pair in pairs])
    return tuple(
        f"{_compared(pair, metric, against, p)}{_where(one.setting)}."
        for (one, pair), p in zip(pairs, adjusted, strict=True)
    )


def savings_sentences(found: Sequence[Finding], baseline: str) -> tuple[str, ...]:
    """Return the labels that each method is worth, and the share of the gap that it closes."""
    said: list[str] = []
    for finding in found:
        name = named(finding.method, finding.setting)
        said += [savings_sentence(one, name, baseline) for one in finding.savings]
        said += [gap_sentence(gap, name, baseline) for gap in finding.gaps]
        said += [f"Not computed for {name}: {reason}" for reason in finding.not_computed]
    return tuple(said)


def named(method: str, setting: str) -> str:
    """Return a method's name, with the setting if the study has several: ``cps (unetr)``."""
    return method + _where(setting)


def _compared(pair: Pair, metric: StudyMetric, against: str, p: float | None) -> str:
    digits = metric.digits
    ours, theirs = (cells.number(value, digits).text for value in pair.values(pair.mean))
    head = f"With {pair.shown.labeled} labeled cases {pair.shown.method} has {theirs}"
    if pair.baseline is None:
        return f"{head}; {against} has no scores"
    head = f"{head}, {against} {ours}"
    entry = pair.entry(pair.mean)
    if entry is None or entry.difference is None or entry.interval is None or p is None:
        return head
    if pair.withheld:
        return f"{head}: {verdict_on(pair, p, metric)}, since {pair.withheld}"
    difference = cells.number(entry.difference, digits, signed=True).text
    interval = cells.interval(entry.interval, digits, signed=True).text
    said = "p below 0.001" if p < 0.001 else f"p {p:.3f}"
    differing = (
        f", {pair.shown.repeated}s {'/'.join(map(str, pair.seeds))}: not the same labeled sets"
        if pair.seeds_differ
        else ""
    )
    return f"{head}: {difference} (95 % interval {interval}, {said}{differing}): {verdict_on(pair, p, metric)}"


def _where(setting: str) -> str:
    return f" ({setting})" if setting else ""
