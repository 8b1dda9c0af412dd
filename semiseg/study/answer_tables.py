"""The answers of a study as tables and figures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from semiseg.evaluation.bootstrap import RESAMPLES
from semiseg.evaluation.label_savings import LabelSavings
from semiseg.evaluation.power import ALPHA, MOST, POWER
from semiseg.evaluation.power_plan import PowerPlan
from semiseg.report import table_cells as cells
from semiseg.report.arms import StudyResults
from semiseg.report.document import Cell, Figure, Table
from semiseg.report.figure_savings import CurvePoint, SavingsPoint, savings_figure
from semiseg.report.study_metric import StudyMetric, estimate
from semiseg.study.answers import NEXT, Answers, NextLabels

_Naming = Callable[[str, str], tuple[str, ...]]
"""The cells that name an arm: setting and method, or the method alone where the study has one setting."""
_FEW_SEEDS = (
    "With few seeds the intervals are too narrow in the seeds' part: with three, as little as three in four of such "
    "intervals hold the truth where seeds differ more than cases do."
)


def answer_tables(
    found: Sequence[Answers], following: Sequence[NextLabels], metric: StudyMetric, baseline: str
) -> tuple[Table, ...]:
    """Label savings, the share of the gap that is closed, the value of the next labels, and power; empty ones not."""
    has_settings = any(one.setting for one in following)

    def named(setting: str, method: str) -> tuple[str, ...]:
        return (setting, method) if has_settings else (method,)

    tables = (
        _savings(found, metric, baseline, named),
        _gaps(found, metric, baseline, named),
        _following(following, metric, named),
        _power(found, metric, baseline, named),
    )
    return tuple(_without_empty_notes(table) for table in tables if table.rows)


def _without_empty_notes(table: Table) -> Table:
    """The table without its last column where that says nothing."""
    if table.columns[-1] != "note" or any(row[-1].text for row in table.rows):
        return table
    return replace(table, columns=table.columns[:-1], rows=tuple(row[:-1] for row in table.rows))


def savings_figures(results: StudyResults, found: Sequence[Answers], metric: StudyMetric) -> tuple[Figure, ...]:
    """For each setting and method with savings a figure of them."""
    return tuple(figure for figure in _figures(results, found, metric) if figure is not None)


def _figures(results: StudyResults, found: Sequence[Answers], metric: StudyMetric) -> Iterator[Figure | None]:
    for number, answer in enumerate(found):
        if not answer.savings:
            continue
        curve = []
        for arm in results.curve(answer.setting, results.baseline):
            ours = estimate(arm, metric)
            if ours.mean is not None and ours.interval is not None:
                curve.append(CurvePoint(arm.labeled, ours.mean, *ours.interval))
        points = []
        for savings in answer.savings:
            method_arm = results.find(answer.setting, answer.method, savings.labeled)
            theirs = estimate(method_arm, metric) if method_arm is not None else None
            if theirs is not None and theirs.mean is not None and theirs.interval is not None:
                worth = (savings.worth, savings.low, savings.high)
                points.append(SavingsPoint(savings.labeled, theirs.mean, *theirs.interval, *worth))
        yield savings_figure(
            points,
            curve,
            method=answer.method,
            baseline=results.baseline,
            metric=metric.axis,
            higher_is_better=metric.higher_is_better,
            setting=answer.setting,
            key="savings" if number == 0 else f"savings_{number + 1}",
        )


def _savings(found: Sequence[Answers], metric: StudyMetric, baseline: str, named: _Naming) -> Table:
    rows = tuple(
        (
            *(Cell(text) for text in named(answer.setting, answer.method)),
            cells.count(one.labeled),
            _end(one.worth, one.side, one),
            Cell(f"{_end(one.low, one.low_side, one).text} to {_end(one.high, one.high_side, one).text}"),
            Cell(f"{one.share_below:.0%}", value=one.share_below),
            Cell(f"{one.share_above:.0%}", value=one.share_above),
        )
        for answer in found
        for one in answer.savings
    )
    columns = (*named("setting", "method"), "labeled", f"worth {baseline} labels", "95 % interval", "below", "above")
    notes = (
        f"How many {baseline} labels reach the method's {metric.title}: its curve is made monotone and joined by lines "
        "over the logarithm of the count. Beyond its ends nothing is extrapolated; below, above: share of the "
        f"{RESAMPLES:,} bootstrap samples, of cases and seeds, that lie there.",
        _FEW_SEEDS,
    )
    return Table("label_savings", "Label savings", columns, rows, notes, len(named("", "")))


def _end(value: float | None, side: str, one: LabelSavings) -> Cell:
    if value is not None:
        return Cell(f"{value:.1f}" if value < 10 else f"{value:.0f}", value=value)
    fewest, most = one.curve_ends
    return Cell(f"more than {most}", value=most + 0.5) if side == "above" else Cell(f"fewer than {fewest}", value=0)


def _gaps(found: Sequence[Answers], metric: StudyMetric, baseline: str, named: _Naming) -> Table:
    rows = tuple(
        (
            *(Cell(text) for text in named(answer.setting, answer.method)),
            cells.count(gap.labeled),
            cells.number(gap.gap, metric.digits),
            Cell("–" if gap.share is None else f"{gap.share:.0%}", value=gap.share),
            Cell("–" if gap.interval is None else "{:.0%} to {:.0%}".format(*gap.interval)),
            Cell(gap.reason),
        )
        for answer in found
        for gap in answer.gaps
    )
    columns = (*named("setting", "method"), "labeled", "gap", "share closed", "95 % interval", "note")
    note = f"Gap: between {baseline} with so many labeled cases and with all of them, in {metric.title}."
    return Table(
        "gap_closed",
        "Share of the gap to full labels that is closed",
        columns,
        rows,
        (note, _FEW_SEEDS),
        len(named("", "")),
    )


def _following(following: Sequence[NextLabels], metric: StudyMetric, named: _Naming) -> Table:
    rows = tuple(
        (
            *(Cell(text) for text in named(one.setting, one.method)),
            cells.count(value.labeled),
            cells.number(value.change, metric.digits, signed=True),
            cells.interval(value.interval, metric.digits, signed=True),
            Cell(value.reason),
        )
        for one in following
        for value in one.values
    )
    columns = (*named("setting", "method"), "labeled", f"change of {metric.title}", "95 % interval", "note")
    note = f"What {NEXT} more labeled cases change, along the curve of each method; nothing is extrapolated."
    return Table("next_labels", f"The next {NEXT} labels", columns, rows, (note,), len(named("", "")))


def _power(found: Sequence[Answers], metric: StudyMetric, baseline: str, named: _Naming) -> Table:
    rows = tuple(
        (
            *(Cell(text) for text in named(answer.setting, answer.method)),
            cells.count(labeled),
            Cell(plan.unit),
            cells.count(plan.n),
            cells.number(plan.difference, metric.digits, signed=True),
            _needed(plan),
            Cell("–" if plan.achieved is None else f"{plan.achieved:.0%}", value=plan.achieved),
            cells.number(plan.detectable, metric.digits),
            Cell(plan.reason),
        )
        for answer in found
        for labeled, *plans in answer.power
        for plan in plans
    )
    columns = (
        *named("setting", "method"),
        *("labeled", "unit", "n", "difference"),
        *(f"needed for {POWER:.0%}", "power at n", "detectable", "note"),
    )
    note = (
        f"How many test cases or seeds a paired t test (two-sided, alpha {ALPHA:g}) needs to tell the method from "
        f"{baseline} with {POWER:.0%} power, if the true difference is the one seen, which is itself uncertain; "
        "detectable: the smallest difference that n find. Power at n restates the p-value."
    )
    return Table("power", "Would more cases or seeds tell them apart?", columns, rows, (note,), len(named("", "")))


def _needed(plan: PowerPlan) -> Cell:
    if plan.needed is not None:
        return cells.count(plan.needed)
    return Cell("–") if plan.reason else Cell(f"more than {MOST:,}", value=MOST)
