"""The main table of a metric: the baseline's value and each method's, by class and in the mean."""

from collections.abc import Sequence

from semiseg.report import table_cells as cells
from semiseg.report.arms import Arm, StudyResults
from semiseg.report.document import Cell, Table
from semiseg.report.study_metric import StudyMetric
from semiseg.report.study_pairs import Pair, adjusted_p


def compared_table(results: StudyResults, metric: StudyMetric, pairs: Sequence[Pair]) -> Table | None:
    """One row for each number of labeled cases and method, settings as blocks, the fully labeled baseline on top.

    The layout is that of the reference study's table 2. None where no arm is compared with the baseline.
    """
    adjusted = adjusted_p(pairs)
    tests = [p for p in adjusted if p is not None]
    if not tests:
        return None
    rows = [(*names(results, pair.shown), *_figures(pair, metric, p)) for pair, p in zip(pairs, adjusted, strict=True)]
    classes = [row.name for row in pairs[0].classes]
    parts = [*classes, "mean"] if len(classes) > 1 else classes
    columns = [title for part in parts for title in (part, f"{part} %")]
    methods = results.methods[0] if len(results.methods) == 1 else "each method"
    return Table(
        key=f"compared_{metric.key}",
        title=f"{metric.axis} on the test cases, {results.baseline}/{methods}",
        columns=(*name_columns(results), *columns, "difference (95 % interval)", "p", "n", "seeds"),
        rows=tuple(rows),
        notes=(
            cells.gain_note(metric, results.baseline),
            cells.difference_note(results.baseline),
            "p: Wilcoxon's signed-rank test over the n cases, of the mean over classes, with Holm's correction over "
            f"the {len(tests)} {'test' if len(tests) == 1 else 'tests'} of this table.",
            cells.policy_note(metric),
            *cells.seeds_note(results),
        ),
        text_columns=text_columns(results),
    )


def class_table(results: StudyResults, metric: StudyMetric, pairs: Sequence[Pair]) -> Table | None:
    """One row for each class and region of each comparison, with the interval of its difference; None where none is."""
    rows = [
        (
            *(Cell(text) for text in _texts(results, pair.shown)),
            Cell(row.name),
            *counts(pair.shown),
            *(cells.number(value, metric.digits) for value in pair.values(row)),
            cells.gain(metric, *pair.values(row)),
            cells.difference(pair.entry(row), metric.digits),
            cells.count(row.n),
        )
        for pair in pairs
        if pair.entry(pair.mean) is not None
        for row in pair.compared.rows
        if row.kind != "mean"
    ]
    if not rows:
        return None
    text = text_columns(results)
    about = name_columns(results)
    columns = (
        *about[:text],
        "class",
        *about[text:],
        results.baseline,
        "method",
        "%",
        "difference (95 % interval)",
        "n",
    )
    notes = (
        cells.gain_note(metric, results.baseline),
        cells.difference_note(results.baseline),
        cells.policy_note(metric),
    )
    title = f"{metric.axis} on the test cases, by class"
    return Table(f"classes_{metric.key}", title, columns, tuple(rows), notes, text + 1)


def name_columns(results: StudyResults) -> tuple[str, ...]:
    """Titles of the columns that name an arm: setting and method where there are several, labeled and total."""
    return (*_texts(results, None), "labeled", "total")


def names(results: StudyResults, arm: Arm) -> tuple[Cell, ...]:
    """The cells of these columns."""
    return (*(Cell(text) for text in _texts(results, arm)), *counts(arm))


def counts(arm: Arm) -> tuple[Cell, Cell]:
    """The cells of labeled cases and of all."""
    return cells.count(arm.labeled), cells.count(arm.total)


def text_columns(results: StudyResults) -> int:
    """How many of these columns are text."""
    return len(_texts(results, None))


def _texts(results: StudyResults, arm: Arm | None) -> tuple[str, ...]:
    """An arm's setting and method, or the columns' titles, each where the study has several."""
    settings = (arm.setting if arm else "setting",) if any(results.settings) else ()
    methods = (arm.method if arm else "method",) if len(results.methods) > 1 else ()
    return settings + methods


def _figures(pair: Pair, metric: StudyMetric, p: float | None) -> list[Cell]:
    parts = [*pair.classes, pair.mean] if len(pair.classes) > 1 else [pair.mean]
    figures = []
    for row in parts:
        values = pair.values(row)
        figures += [cells.pair(*values, metric.digits), cells.gain(metric, *values)]
    difference = cells.difference(pair.entry(pair.mean), metric.digits)
    return [*figures, difference, cells.probability(p), cells.count(pair.mean.n), cells.seeds(pair.seeds)]
