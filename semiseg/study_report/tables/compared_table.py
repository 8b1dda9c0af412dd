"""The main table of a metric: values of the baseline and of each method, for the mean and by class."""

from collections.abc import Iterator, Sequence

from semiseg.render import cells
from semiseg.render.document import Cell, Table
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_metric import StudyMetric, arm_counts
from semiseg.study_report.study_pairs import Pair, adjusted_p, verdict_text
from semiseg.study_report.tables import table_cells as study_cells


def compared_table(results: StudyResults, metric: StudyMetric, pairs: Sequence[Pair]) -> Table | None:
    """Return one row per number of labeled cases and method, settings as blocks, the fully labeled baseline on top.

    The mean and its statistics come first, then the classes. None if no arm is compared with the baseline.
    """
    adjusted = adjusted_p(pairs)
    tests = [p for p in adjusted if p is not None]
    if not tests:
        return None
    rows = [
        (*names(results, pair.shown), *mean_cells(pair, metric, p, verdict), *_classes(pair, metric))
        for pair, p in zip(pairs, adjusted, strict=True)
        for verdict in [cells.NONE if pair.entry(pair.mean) is None else verdict_text(pair, p, metric)]
    ]
    methods = results.methods[0] if len(results.methods) == 1 else "each method"
    gain = study_cells.gain_title(metric)
    classes = pairs[0].classes if len(pairs[0].classes) > 1 else ()
    columns = (
        *name_columns(results),
        *("baseline mean", "method mean", gain, "difference (95 % interval)", "p", "verdict", "n"),
        f"{results.repeated}s",
        *(["missed (baseline/method)"] if metric.is_distance else []),
    )
    return Table(
        key=f"compared_{metric.key}",
        title=metric.directed(f"{metric.axis} on the test cases, {results.baseline}/{methods}"),
        columns=(*columns, *(title for row in classes for title in (row.name, f"{row.name} {gain}"))),
        rows=tuple(rows),
        notes=(
            f"Mean: over the test cases by class, then over classes; baseline: {results.baseline}.",
            study_cells.gain_note(metric, results.baseline),
            study_cells.difference_note(metric, results.baseline),
            study_cells.p_note(len(tests)),
            study_cells.verdict_note(pairs),
            study_cells.policy_note(metric),
            *study_cells.missed_note(metric),
            *study_cells.seeds_note(results),
            *study_cells.differing_seeds_note(pairs),
        ),
        text_columns=text_columns(results),
        page_columns=len(columns),
    )


def class_table(results: StudyResults, metric: StudyMetric, pairs: Sequence[Pair]) -> Table | None:
    """Return one row per class and region of each comparison, with the interval of its difference; None if empty."""
    shown = [pair for pair in pairs if pair.entry(pair.mean) is not None]
    rows = [
        (
            *(Cell(text) for text in _texts(results, pair.shown)),
            Cell(row.name),
            *counts(pair.shown),
            *(cells.number(value, metric.digits) for value in pair.values(row)),
            study_cells.gain(metric, *pair.values(row), pair.judged(row)),
            study_cells.difference(pair.entry(row), metric.digits),
            cells.count(row.n),
        )
        for pair in shown
        for row in pair.compared.rows
        if row.kind != "mean"
    ]
    if not rows:
        return None
    text = text_columns(results)
    about = name_columns(results)
    figures = ("baseline mean", "method mean", study_cells.gain_title(metric), "difference (95 % interval)", "n")
    notes = (
        study_cells.gain_note(metric, results.baseline),
        study_cells.difference_note(metric, results.baseline),
        study_cells.policy_note(metric),
        *study_cells.seeds_note(results),
        *study_cells.differing_seeds_note(shown),
    )
    title = metric.directed(f"{metric.axis} on the test cases, by class")
    columns = (*about[:text], "class", *about[text:], *figures)
    return Table(f"classes_{metric.key}", title, columns, tuple(rows), notes, text + 1)


def name_columns(results: StudyResults) -> tuple[str, ...]:
    """Return titles of the columns that name an arm: setting and method if there are several, and numbers of cases."""
    return (*_texts(results, None), "labeled", "cases in all")


def names(results: StudyResults, arm: StudyArm) -> tuple[Cell, ...]:
    """Return the cells of these columns."""
    return (*(Cell(text) for text in _texts(results, arm)), *counts(arm))


def counts(arm: StudyArm) -> tuple[Cell, Cell]:
    """Return the cells of labeled and total cases."""
    return cells.count(arm.labeled), cells.count(arm.total)


def text_columns(results: StudyResults) -> int:
    """Return the number of these columns that are text."""
    return len(_texts(results, None))


def _texts(results: StudyResults, arm: StudyArm | None) -> tuple[str, ...]:
    """Return an arm's setting and method, or the columns' titles, each only if the study has several."""
    settings = (arm.setting if arm else "setting",) if any(results.settings) else ()
    methods = (arm.method if arm else "method",) if len(results.methods) > 1 else ()
    return settings + methods


def mean_cells(
    pair: Pair, metric: StudyMetric, p: float | None, verdict: str, against: str = "baseline"
) -> Iterator[Cell]:
    """Yield the statistics of a pair's mean, and missed structures of a distance; ``against`` names the first arm."""
    values, entry = pair.values(pair.mean), pair.entry(pair.mean)
    yield from (cells.number(value, metric.digits) for value in values)
    yield study_cells.gain(metric, *values, pair.judged(pair.mean))
    yield study_cells.difference(entry, metric.digits)
    yield cells.probability(p)
    yield Cell(verdict)
    yield cells.count(pair.mean.n)
    yield study_cells.seeds(pair, against)
    if metric.is_distance:
        baseline, method = (None if arm is None else arm_counts(arm, metric) for arm in (pair.baseline, pair.arm))
        yield study_cells.missed(baseline, method, against)


def _classes(pair: Pair, metric: StudyMetric) -> Iterator[Cell]:
    for row in pair.classes if len(pair.classes) > 1 else ():
        values = pair.values(row)
        yield study_cells.pair(*values, metric.digits, row.name)
        yield study_cells.gain(metric, *values, pair.judged(row))
