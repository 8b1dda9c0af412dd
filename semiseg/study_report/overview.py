"""The first screen of a study's page: one sentence with the answer, its numbers, and every verdict in a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from semiseg.messages import counted
from semiseg.progress import duration
from semiseg.render import cells
from semiseg.render.document import Card, Cell, Table
from semiseg.study_report.findings import Finding
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_controls import Controlled
from semiseg.study_report.study_metric import StudyMetric, estimate
from semiseg.study_report.study_pairs import Pair, adjusted_p, verdict_on, verdict_text
from semiseg.study_report.tables import table_cells
from semiseg.study_report.text.savings_sentences import INTERVAL, interval_text, percents, worth_text
from semiseg.study_report.text.sentences import named
from semiseg.study_report.untrained import nothing_is_judged


@dataclass(frozen=True, slots=True)
class Overview:
    """The sentence, the cards and the table of the first screen; empty where there is nothing to say."""

    answer: str = ""
    cards: tuple[Card, ...] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """A method at one labeled count, compared with the baseline, and with its control if there is one."""

    finding: Finding
    pair: Pair
    p: float | None
    control: Pair | None
    control_p: float | None


def overview(
    results: StudyResults, found: Sequence[Finding], controls: Sequence[Controlled], metric: StudyMetric
) -> Overview:
    """Return the first screen. The sentence and the cards are about one comparison.

    It is that with the largest difference from the baseline, of those that are better than baseline and control if
    there are any; else of those that are better than the baseline; else of all.
    """
    judged = _judged(found, controls)
    if nothing_is_judged(results) or not judged:
        return Overview()
    shown = [one for one in judged if _difference(one.pair) is not None and not one.pair.withheld]
    table = _table(results, judged, metric)
    if not shown:
        return Overview(table=table)
    best = max(shown, key=lambda one: (_rank(one, metric), (_difference(one.pair) or 0.0) * _sign(metric)))
    return Overview(_answer(results, best, len(shown), metric), tuple(_cards(results, best, metric)), table)


def _judged(found: Sequence[Finding], controls: Sequence[Controlled]) -> list[_Judged]:
    compared = [(finding, pair) for finding in found for pair in finding.pairs if pair.baseline is not None]
    with_control = [(one, pair) for one in controls for pair in one.pairs]
    adjusted = adjusted_p([pair for _, pair in with_control])
    of: Mapping[tuple[str, str, int], tuple[Pair, float | None]] = {
        (one.setting, one.method, pair.shown.labeled): (pair, p)
        for (one, pair), p in zip(with_control, adjusted, strict=True)
        if pair.baseline is not None
    }
    judged = []
    for (finding, pair), p in zip(compared, adjusted_p([pair for _, pair in compared]), strict=True):
        control, control_p = of.get((finding.setting, finding.method, pair.shown.labeled), (None, None))
        judged.append(_Judged(finding, pair, p, control, control_p))
    return judged


def _rank(one: _Judged, metric: StudyMetric) -> int:
    if verdict_on(one.pair, one.p, metric) != "better":
        return 0
    if one.control is None:
        return 1
    return 2 if verdict_on(one.control, one.control_p, metric) == "better" else 1


def _answer(results: StudyResults, best: _Judged, count: int, metric: StudyMetric) -> str:
    name, labels = named(best.finding.method, best.finding.setting), counted(best.pair.shown.labeled, "label")
    difference = f"{metric.title} {_signed(best.pair, metric)}"
    rule, few = results.rules.get(best.finding.method), f" One of {count} comparisons." if count > 1 else ""
    baseline = f"{results.baseline} with cases drawn at random" if rule else results.baseline
    if _rank(best, metric) == 0:
        return (
            f"No method is shown to be better than {results.baseline}: the largest difference is {difference} "
            f"({name}, {labels}).{few}"
        )
    better = f"With {labels}, {name} is better than {baseline} ({difference})"
    if rule:
        return f"{better}: choosing cases by {rule} paid.{few}"
    if best.control is None:
        alone = best.pair.shown.total <= best.pair.shown.labeled
        return f"{better}.{few}" if alone else f"{better}; without a control, why is not known.{few}"
    over = f"the same method without the unlabeled cases ({_signed(best.control, metric)})"
    if _rank(best, metric) == 2:
        return f"Unlabeled cases paid. {better}, and better than {over}.{few}"
    return f"{better}, but not shown to be better than {over}: unlabeled cases are not shown to be the reason.{few}"


def _cards(results: StudyResults, best: _Judged, metric: StudyMetric) -> Iterator[Card]:
    finding, labeled = best.finding, best.pair.shown.labeled
    name = named(finding.method, finding.setting)
    saved = next((one for one in finding.savings if one.labeled == labeled and one.worth is not None), None)
    if saved is not None:
        title = f"labels that {results.baseline} needs to match {name} with {labeled}"
        yield Card(title, worth_text(saved), f"{INTERVAL} {interval_text(saved)}")
    else:
        entry = best.pair.entry(best.pair.mean)
        low_high = None if entry is None else entry.interval
        interval = "" if low_high is None else f"{INTERVAL} {cells.interval(low_high, metric.digits, signed=True).text}"
        title = f"{metric.title}: {name} minus {results.baseline}, {counted(labeled, 'label')}"
        yield Card(title, _signed(best.pair, metric), interval)
    gap = next((one for one in finding.gaps if one.labeled == labeled and one.share is not None), None)
    if gap is not None and gap.share is not None:
        interval = "no interval"
        if gap.interval is not None:
            interval = f"{INTERVAL} {percents(gap.interval)}"
        title = f"of the gap to {results.baseline} with all {gap.full_labeled} labels closed by {name}"
        yield Card(title, f"{100 * gap.share:.0f} %", interval)
    if best.pair.baseline is not None and best.pair.arm is not None:
        ours, theirs = _seconds(best.pair.baseline), _seconds(best.pair.arm)
        if ours and theirs:
            note = f"{name}: {duration(theirs)} a model instead of {duration(ours)} (medians)"
            yield Card(f"the training time of {results.baseline}", f"{theirs / ours:.1f} x", note)


def _seconds(arm: StudyArm) -> float | None:
    """Return the median time in seconds of the steps of an arm's models, from their logs; None if unknown."""
    times = [sum(record.get("seconds", 0.0) for record in log) for log in arm.logs]
    return median(times) if times and all(times) else None


def _table(results: StudyResults, judged: Sequence[_Judged], metric: StudyMetric) -> Table:
    settings = any(results.settings)
    rows: list[tuple[Cell, ...]] = []
    for setting in results.settings:
        here = [one for one in judged if one.finding.setting == setting]
        for labeled in sorted({one.pair.shown.labeled for one in here}):
            of_count = [one for one in here if one.pair.shown.labeled == labeled]
            rows.append(_alone(of_count[0].pair.baseline, setting, metric, settings))
            rows += [_compared(one, metric, settings) for one in of_count]
        if full := results.full(setting):
            rows.append(_alone(full, setting, metric, settings))
    first = ("setting", "method") if settings else ("method",)
    with_controls = any(one.control is not None for one in judged)
    columns = (*first, "labels", metric.title, f"compared with {results.baseline}")
    if with_controls:
        columns = (*columns, "compared with its control")
    rows = [row if with_controls else row[:-1] for row in rows]
    notes = (
        f"{metric.directed(metric.title)} on the test cases: mean over classes, cases and seeds; differences with 95 % "
        f"bootstrap intervals. {table_cells.verdict_note([one.pair for one in judged])}",
    )
    return Table("verdicts", f"Verdicts in {metric.title}", columns, tuple(rows), notes, len(first))


def _alone(arm: StudyArm | None, setting: str, metric: StudyMetric, settings: bool) -> tuple[Cell, ...]:
    assert arm is not None
    mean = cells.number(estimate(arm, metric).mean, metric.digits)
    return (*_names(arm, setting, settings), mean, Cell("baseline"), Cell(cells.NONE))


def _compared(one: _Judged, metric: StudyMetric, settings: bool) -> tuple[Cell, ...]:
    _, value = one.pair.values(one.pair.mean)
    control = Cell(cells.NONE) if one.control is None else _verdict(one.control, one.control_p, metric)
    mean = cells.number(value, metric.digits, bold=verdict_on(one.pair, one.p, metric) == "better")
    return (*_names(one.pair.shown, one.finding.setting, settings), mean, _verdict(one.pair, one.p, metric), control)


def _names(arm: StudyArm, setting: str, settings: bool) -> tuple[Cell, ...]:
    return (*([Cell(setting)] if settings else []), Cell(arm.method), cells.count(arm.labeled))


def _verdict(pair: Pair, p: float | None, metric: StudyMetric) -> Cell:
    verdict = verdict_text(pair, p, metric)
    if pair.withheld:
        return Cell(verdict)
    return Cell(f"{verdict}, {table_cells.difference(pair.entry(pair.mean), metric.digits).text}")


def _difference(pair: Pair) -> float | None:
    entry = pair.entry(pair.mean)
    return None if entry is None else entry.difference


def _sign(metric: StudyMetric) -> int:
    return 1 if metric.higher_is_better else -1


def _signed(pair: Pair, metric: StudyMetric) -> str:
    return cells.number(_difference(pair), metric.digits, signed=True).text
