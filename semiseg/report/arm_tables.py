"""Tables of a study's arms: every arm on its own, and what more unlabeled cases do."""

from collections.abc import Iterator

from semiseg.report import table_cells as cells
from semiseg.report.arms import Arm, StudyResults
from semiseg.report.document import Cell, Table
from semiseg.report.study_metric import StudyMetric, estimate, varied_totals
from semiseg.report.study_pairs import make_pair


def arms_table(results: StudyResults, metric: StudyMetric) -> Table:
    """Every arm: its mean over classes and cases, the spread of its seeds, and the interval of the mean."""
    columns = _columns(results, "method", "labeled", "total", "seeds", "mean ± sd", "95 % interval", "n")
    notes = (
        "mean: over the test cases by class, then over classes, then over seeds; sd: of the seeds' means (n - 1). "
        "Interval: 95 % bootstrap interval of the mean over cases and seeds.",
        cells.policy_note(metric),
        *cells.seeds_note(results),
    )
    rows = tuple((*_setting(results, arm), *_arm_row(arm, metric)) for arm in results.arms)
    return Table(f"arms_{metric.key}", f"{metric.axis} of all arms", columns, rows, notes, columns.index("labeled"))


def totals_table(results: StudyResults, metric: StudyMetric) -> Table | None:
    """Methods by their number of unlabeled cases, none among them: the data of the reference study's figure 5.

    None where no method was trained on several totals with the same labeled cases.
    """
    rows = tuple(_totals_rows(results, metric))
    if not rows:
        return None
    figures = (results.baseline, "value", "%", "difference (95 % interval)", "n", "seeds")
    columns = _columns(results, "method", "labeled", "unlabeled", *figures)
    notes = (
        cells.gain_note(metric, results.baseline),
        cells.difference_note(results.baseline),
        cells.policy_note(metric),
        *cells.seeds_note(results),
    )
    title = f"{metric.axis} by the number of unlabeled cases"
    return Table(f"totals_{metric.key}", title, columns, rows, notes, columns.index("labeled"))


def _columns(results: StudyResults, *others: str) -> tuple[str, ...]:
    return ("setting", *others) if any(results.settings) else others


def _setting(results: StudyResults, arm: Arm) -> list[Cell]:
    return [Cell(arm.setting)] if any(results.settings) else []


def _arm_row(arm: Arm, metric: StudyMetric) -> list[Cell]:
    found = estimate(arm, metric)
    mean = cells.number(found.mean, metric.digits)
    if found.seed_std is not None:
        mean = Cell(f"{mean.text} ± {found.seed_std:.{metric.digits}f}", value=found.mean)
    counts = [cells.count(number) for number in (arm.labeled, arm.total, found.seeds)]
    return [Cell(arm.method), *counts, mean, cells.interval(found.interval, metric.digits), cells.count(found.n)]


def _totals_rows(results: StudyResults, metric: StudyMetric) -> Iterator[tuple[Cell, ...]]:
    for setting, method in varied_totals(results):
        for arm in results.arms:
            if (arm.setting, arm.method) == (setting, method):
                pair = make_pair(results.find(setting, results.baseline, arm.labeled), arm, metric)
                values = pair.values(pair.mean)
                yield (
                    *_setting(results, arm),
                    Cell(method),
                    cells.count(arm.labeled),
                    cells.count(arm.total - arm.labeled),
                    *(cells.number(value, metric.digits) for value in values),
                    cells.gain(metric, *values),
                    cells.difference(pair.entry(pair.mean), metric.digits),
                    cells.count(pair.mean.n),
                    cells.seeds(pair.seeds),
                )
