"""A published study's values beside this study's."""

from collections.abc import Iterator, Sequence

from semiseg.report import table_cells as cells
from semiseg.report.arms import Arm, StudyResults
from semiseg.report.document import Cell, Table
from semiseg.report.published import MEAN, Published, PublishedTable
from semiseg.report.study_metric import StudyMetric
from semiseg.report.study_pairs import Pair


def published_table(
    results: StudyResults, metric: StudyMetric, pairs: Sequence[Pair], published: Published
) -> Table | None:
    """Each published value, ours, and the difference, of the baseline and of the method; percentages in three ways.

    A percentage is shown as it is printed, as worked out from the printed values in the way that ours is, and ours.
    None where nothing is published of the metric, or nothing of it is in this study.
    """
    table = published.table(metric.name)
    if table is None or table.unit != metric.unit:
        return None
    rows = tuple(row for pair in pairs for row in _rows(pair, metric, published, table))
    if not rows:
        return None
    baseline, method = published.methods
    groups = [f"{name}: {what}" for name in (baseline, method) for what in ("published", "ours", "difference")]
    formula = "(b-a)/a" if metric.higher_is_better else "(a-b)/a"
    totals = sorted({pair.arm.total for pair in pairs if pair.arm is not None and pair.arm.method == method})
    return Table(
        key=f"published_{metric.key}",
        title=f"{metric.axis} beside {published.cited}, {table.source}",
        columns=("setting", "class", "labeled", *groups, "%: printed", f"%: {formula} of printed", "%: ours"),
        rows=rows,
        notes=(
            f"Difference: ours minus the published value, which is rounded. %: {formula}, with a of {baseline} and b "
            f"of {method}; printed: as the publication has it.",
            *_totals(table, totals),
            table.note,
            f"Source: {_authors(published)} ({published.year}), {published.title}.",
        ),
        text_columns=2,
    )


def setting_of(arm: Arm) -> str:
    """The arm's setting; where the study varies nothing, its backbone, by which published values are known."""
    backbone = arm.runs[0].recipe.get("backbone") or {}
    return arm.setting or str(backbone.get("name", ""))


def _rows(pair: Pair, metric: StudyMetric, published: Published, table: PublishedTable) -> Iterator[tuple[Cell, ...]]:
    baseline, method = published.methods
    if pair.baseline is None or pair.baseline.method != baseline or (pair.arm and pair.arm.method != method):
        return
    setting, labeled = setting_of(pair.shown), pair.shown.labeled
    for row in (*pair.classes, *([pair.mean] if len(pair.classes) > 1 else [])):
        name = MEAN if row.kind == "mean" else row.name
        printed = [published.value(metric.name, setting, which, labeled, name) for which in published.methods]
        if not any(printed):
            continue
        ours = pair.values(row)
        groups = []
        for theirs, own in zip(printed, ours, strict=True):
            change = None if theirs is None or own is None else own - theirs
            groups += [
                cells.number(theirs, table.digits),
                cells.number(own, metric.digits),
                cells.number(change, metric.digits, signed=True),
            ]
        yield (
            Cell(setting),
            Cell(name),
            cells.count(labeled),
            *groups,
            cells.number(published.percent(metric.name, setting, labeled, name), 1, signed=True),
            cells.number(metric.gain(*printed), 1, signed=True),
            cells.number(metric.gain(*ours), 1, signed=True),
        )


def _totals(table: PublishedTable, totals: Sequence[int]) -> Iterator[str]:
    if totals and list(totals) != [table.total]:
        counted = ", ".join(map(str, totals))
        yield f"The published models were trained on {table.total} cases in all, these on {counted}."


def _authors(published: Published) -> str:
    *others, last = published.authors
    return f"{', '.join(others)} and {last}" if others else last
