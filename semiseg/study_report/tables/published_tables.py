"""A published study's values compared with this study's."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from semiseg.render import cells
from semiseg.render.document import Cell, Table
from semiseg.study.published import MEAN, Published, PublishedTable, Source
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_metric import StudyMetric
from semiseg.study_report.study_pairs import Pair, make_pair
from semiseg.study_report.tables import table_cells as study_cells

_EXCLUDE = "exclude"


def published_table(
    results: StudyResults, metric: StudyMetric, pairs: Sequence[Pair], published: Published
) -> Table | None:
    """Return published values, ours and the differences, for baseline and method; percentages in three ways.

    A percentage is shown as printed, as computed from the printed values by our formula, and ours; our distances are
    also shown with missed structures left out. None if the publication is about other data (``published_applies``), has
    no values of the metric, or none of its models is in this study.
    """
    table = published.table(metric.name)
    if table is None or table.unit != metric.unit or published_applies(results, published):
        return None
    found = [(pair, tuple(_rows(pair, metric, published, table))) for pair in pairs]
    rows = tuple(row for _, of_pair in found for row in of_pair)
    if not rows:
        return None
    shown = [pair for pair, of_pair in found if of_pair]
    baseline, method = published.methods
    whats = ("published", "ours", *_excluded(metric), "difference")
    groups = [f"{name}: {what}" for name in (baseline, method) for what in whats]
    formula = "(b-a)/a" if metric.higher_is_better else "(a-b)/a"
    totals = sorted({pair.arm.total for pair in shown if pair.arm is not None})
    gain = study_cells.gain_title(metric)
    return Table(
        key=f"published_{metric.key}",
        title=metric.directed(f"{metric.axis} compared with {published.source.cited}, {table.source}"),
        columns=(
            *("setting", "class", "labeled", *groups),
            *(f"{gain}: {what}" for what in ("printed", f"{formula} of printed", "ours")),
        ),
        rows=rows,
        notes=(
            f"{published.note} Published values have no interval, so a difference does not mean that reproduction "
            f"failed. Ours: {_weights(shown)}.".lstrip(),
            f"Difference: ours minus the published value, which is rounded. {gain}: {formula}, with a of {baseline} "
            f"and b of {method}; printed: as in the publication.",
            study_cells.policy_note(metric),
            *_excluded_note(metric),
            *_totals(table, totals),
            *([table.note.strip()] if table.note else []),
            f"Source: {_authors(published.source)} ({published.source.year}), {published.source.title}.",
        ),
        text_columns=2,
    )


def published_applies(results: StudyResults, published: Published) -> str:
    """Return why a publication's values are not comparable: other data or classes; empty if they are comparable."""
    runs = [run for arm in results.arms for run in arm.runs]
    data = {str((run.recipe.get("dataset") or {}).get("name", "")) or "unknown" for run in runs}
    plugin = published.dataset.plugin
    if data != {plugin}:
        return (
            f"The values of {published.source.cited} are of {published.dataset.name} (dataset {plugin}), "
            f"these of {', '.join(sorted(data))}."
        )
    classes = {score.class_name for run in runs for score in run.scores.values() if score.kind == "class"}
    if classes != set(published.classes):
        return (
            f"The classes of {published.source.cited} are {', '.join(sorted(published.classes))}, "
            f"these {', '.join(sorted(classes)) or 'none'}."
        )
    return ""


def setting_of(arm: StudyArm) -> str:
    """Return the arm's setting or, if the study varies nothing, its backbone, which identifies published values."""
    backbone = arm.runs[0].recipe.get("backbone") or {}
    return arm.setting or str(backbone.get("name", ""))


def _rows(pair: Pair, metric: StudyMetric, published: Published, table: PublishedTable) -> Iterator[tuple[Cell, ...]]:
    baseline, method = published.methods
    if pair.baseline is None or pair.baseline.method != baseline or (pair.arm and pair.arm.method != method):
        return
    setting, labeled = setting_of(pair.shown), pair.shown.labeled
    found: Pair | None = None
    for row in (*pair.classes, *([pair.mean] if len(pair.classes) > 1 else [])):
        name = MEAN if row.kind == "mean" else row.name
        printed = [published.value(metric.name, setting, which, labeled, name) for which in published.methods]
        if not any(printed):
            continue
        if _excluded(metric) and found is None:  # only once there is a row to show, as it takes a bootstrap
            found = make_pair(pair.baseline, pair.arm, replace(metric, policy=_EXCLUDE))
        ours = pair.values(row)
        without = _values(found, row.name)
        groups = []
        for theirs, own, left in zip(printed, ours, without, strict=True):
            change = None if theirs is None or own is None else own - theirs
            groups += [
                cells.number(theirs, table.digits),
                cells.number(own, metric.digits),
                *([cells.number(left, metric.digits)] if _excluded(metric) else []),
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


def _excluded(metric: StudyMetric) -> tuple[str, ...]:
    """Return the title of the column of our values without missed structures; empty if they are left out anyway."""
    return ("ours, missed left out",) if metric.is_distance and metric.policy != _EXCLUDE else ()


def _values(found: Pair | None, name: str) -> tuple[float | None, float | None]:
    return (None, None) if found is None else found.values(next(r for r in found.compared.rows if r.name == name))


def _excluded_note(metric: StudyMetric) -> Iterator[str]:
    if _excluded(metric):
        yield "Ours, missed left out: without the distances to missed and spurious structures."


def _weights(pairs: Sequence[Pair]) -> str:
    counts = sorted({count for pair in pairs for count in pair.seeds})
    what = pairs[0].shown.repeated
    seeds = f"{counts[0]} {what}{'s' * (counts != [1])}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} {what}s"
    checkpoint = pairs[0].shown.runs[0].checkpoint
    return f"{seeds}, {checkpoint} weights" if checkpoint else seeds


def _totals(table: PublishedTable, totals: Sequence[int]) -> Iterator[str]:
    if totals and list(totals) != [table.total]:
        counted = ", ".join(map(str, totals))
        yield f"The published models were trained on {table.total} cases in all, these on {counted}."


def _authors(source: Source) -> str:
    *others, last = source.authors
    return f"{', '.join(others)} and {last}" if others else last
