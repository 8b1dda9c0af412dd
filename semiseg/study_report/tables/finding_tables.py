"""The findings of a study as tables."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from semiseg.render import cells
from semiseg.render.document import Cell, Table
from semiseg.statistics.bootstrap import RESAMPLES
from semiseg.statistics.label_savings import LabelSavings
from semiseg.statistics.power import ALPHA, MOST, POWER, PowerPlan
from semiseg.study_report.findings import NEXT, Finding, NextLabels
from semiseg.study_report.results import StudyResults
from semiseg.study_report.study_metric import StudyMetric
from semiseg.study_report.tables.table_cells import folds_note
from semiseg.study_report.text.savings_sentences import interval_text, worth_text

_Naming = Callable[[str, str], tuple[Cell, ...]]
"""Function that returns the cells naming an arm: setting and method, or only the method if there is one setting."""


def finding_tables(
    results: StudyResults, found: Sequence[Finding], following: Sequence[NextLabels], metric: StudyMetric
) -> tuple[Table, ...]:
    """Return nonempty tables: label savings, share of the gap closed, value of the next labels, and power."""
    has_settings = any(results.settings)
    heads = ("setting", "method") if has_settings else ("method",)
    certainty = seeds_note(results)

    def named(setting: str, method: str) -> tuple[Cell, ...]:
        return (Cell(setting), Cell(method)) if has_settings else (Cell(method),)

    tables = (
        _savings(found, metric, results.baseline, named),
        _gaps(found, metric, results.baseline, named),
        _following(following, metric, named),
        _power(found, metric, results.baseline, named),
    )
    return tuple(_finished(table, heads, certainty) for table in tables if table.rows)


def seeds_note(results: StudyResults) -> str:
    """Return a note on the number of seeds and its consequence for intervals."""
    if results.repeated == "fold":
        return folds_note(results)[0]
    counts = sorted({len(arm.seeds) for arm in results.arms})
    said = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    averaged = " ".join(["", *folds_note(results)])
    if counts[0] < 2:
        alone = "With one seed, intervals apply to these networks only and do not cover other seeds."
        return f"Seeds: {said}.{averaged} {alone}"
    few = (
        " With few seeds, intervals understate the variation between seeds: with three, only three in four contain the "
        "true value if seeds differ more than cases."
    )
    return f"Seeds: {said}.{averaged}{few if counts[0] < 10 else ''}"


def _finished(table: Table, heads: tuple[str, ...], certainty: str) -> Table:
    """Add the heads of the naming columns and the note on seeds, and remove an empty column of notes."""
    table = replace(table, columns=(*heads, *table.columns), notes=(*table.notes, certainty), text_columns=len(heads))
    if table.columns[-1] != "note":
        return table
    if any(row[-1].text for row in table.rows):
        return replace(table, text_at_end=1)
    return replace(table, columns=table.columns[:-1], rows=tuple(row[:-1] for row in table.rows))


def _savings(found: Sequence[Finding], metric: StudyMetric, baseline: str, named: _Naming) -> Table:
    rows = tuple(
        (
            *named(finding.setting, finding.method),
            cells.count(one.labeled),
            _worth(one),
            Cell(interval_text(one), parts=(("low", one.low), ("high", one.high))),
            Cell("–" if one.between is None else "{} and {}".format(*one.between)),
            Cell(f"{one.share_below:.0%}", value=one.share_below),
            Cell(f"{one.share_above:.0%}", value=one.share_above),
            Cell("; ".join(_notes(one))),
        )
        for finding in found
        for one in finding.savings
    )
    columns = (
        *("labeled", f"worth {baseline} labels", "95 % interval", "read between"),
        *("samples below the curve", "samples above it", "note"),
    )
    note = (
        f"The number of {baseline} labels with the method's {metric.title}, read from a monotone curve with straight "
        "lines over the logarithm of the count; read between: the nearest counts with trained models; the interval "
        "does not include the error of interpolation. Nothing is extrapolated beyond the curve; samples: share "
        f"of the {RESAMPLES:,} bootstrap samples, of cases and seeds, that lie there. Possibly no saving: the interval "
        "includes the method's own number of labels. Flattened: the baseline's mean falls between these counts."
    )
    return Table("label_savings", "Label savings", columns, rows, (note,))


def _notes(one: LabelSavings) -> Iterator[str]:
    if one.may_be_nothing:
        yield "possibly no saving"
    if one.falls is not None:
        yield "flattened from {} to {}".format(*one.falls)


def _worth(one: LabelSavings) -> Cell:
    beyond = one.curve_ends[1] + 0.5 if one.above else 0  # sorted after or before the numbers on the curve
    return Cell(worth_text(one), value=beyond if one.worth is None else one.worth)


def _gaps(found: Sequence[Finding], metric: StudyMetric, baseline: str, named: _Naming) -> Table:
    rows = tuple(
        (
            *named(finding.setting, finding.method),
            cells.count(gap.labeled),
            cells.number(gap.gap, metric.digits),
            cells.interval(gap.gap_interval, metric.digits),
            Cell("–" if gap.share is None else f"{gap.share:.0%}", value=gap.share),
            Cell("–" if gap.interval is None else "{:.0%} to {:.0%}".format(*gap.interval)),
            Cell(gap.reason or ("possibly none" if _holds_zero(gap.interval) else "")),
        )
        for finding in found
        for gap in finding.gaps
    )
    columns = ("labeled", "gap", "its 95 % interval", "share closed", "95 % interval", "note")
    note = f"Gap: between {baseline} with this number of labeled cases and with all of them, in {metric.title}."
    return Table("gap_closed", "Share of the gap to full labels that is closed", columns, rows, (note,))


def _holds_zero(interval: tuple[float, float] | None) -> bool:
    return interval is not None and interval[0] <= 0 <= interval[1]


def _following(following: Sequence[NextLabels], metric: StudyMetric, named: _Naming) -> Table:
    rows = tuple(
        (
            *named(one.setting, one.method),
            cells.count(value.labeled),
            cells.number(value.change, metric.digits, signed=True),
            cells.interval(value.interval, metric.digits, signed=True),
            Cell(value.reason),
        )
        for one in following
        for value in one.values
    )
    columns = ("labeled", f"change of {metric.title}", "95 % interval", "note")
    note = (
        f"The change from {NEXT} more labeled cases, along the curve of each method; nothing is extrapolated. Between "
        "two counts the curve is a straight line over the logarithm."
    )
    return Table("next_labels", f"The next {NEXT} labels", columns, rows, (note,))


def _power(found: Sequence[Finding], metric: StudyMetric, baseline: str, named: _Naming) -> Table:
    plans = [(finding, labeled, plan) for finding in found for labeled, *both in finding.power for plan in both]
    rows = tuple(
        (
            *named(finding.setting, finding.method),
            cells.count(labeled),
            Cell(plan.unit),
            cells.count(plan.n),
            cells.number(plan.difference, metric.digits, signed=True),
            _needed(plan),
            cells.number(plan.detectable, metric.digits),
            Cell("–" if plan.seed_noise is None else f"{plan.seed_noise:.0%}", value=plan.seed_noise),
            Cell(plan.reason),
        )
        for finding, labeled, plan in plans
        if plan.unit == "test cases" or plan.n > 1
    )
    columns = ("labeled", "unit", "n", "difference", f"needed for {POWER:.0%}", "detectable", "seed noise", "note")
    notes = [
        f"The number of test cases or seeds that a paired t test (two-sided, alpha {ALPHA:g}) needs to find the "
        f"difference between the method and {baseline} with {POWER:.0%} power, if the true difference is the observed "
        "one, which is itself uncertain; detectable: the smallest difference found with n. Test cases: for these "
        "networks, not for other seeds; seed noise: its share of the variance between cases. Seeds: for these test "
        "cases. The difference is the mean of the cases' means over classes.",
    ]
    if any(plan.unit == "seeds" and plan.n < 2 for _, _, plan in plans):
        notes.append("The number of seeds needed cannot be estimated from one seed.")
    return Table("power", "Would more cases or seeds show a difference?", columns, rows, tuple(notes))


def _needed(plan: PowerPlan) -> Cell:
    if plan.needed is not None:
        return cells.count(plan.needed)
    return Cell("–") if plan.reason else Cell(f"more than {MOST:,}", value=MOST)
