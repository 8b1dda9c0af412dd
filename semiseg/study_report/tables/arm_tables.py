"""Tables of a study's arms: every arm on its own, and the effect of more unlabeled cases."""

from collections.abc import Iterator

from semiseg.render import cells
from semiseg.render.document import Cell, Table
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_metric import StudyMetric, arm_counts, estimate, varied_totals
from semiseg.study_report.study_pairs import MakePair, Pair, make_pair
from semiseg.study_report.tables import table_cells as study_cells


def arms_table(results: StudyResults, metric: StudyMetric) -> Table:
    """Return every arm with its mean over classes and cases, spread over seeds, and interval of the mean."""
    figures = (f"{results.repeated}s", "mean ± sd", "95 % interval", "n", "missed", "spurious", "left out")
    columns = _columns(results, "method", "labeled", "cases in all", *figures)
    notes = (
        "mean: over the test cases by class, then over classes, then over seeds; sd: of the seeds' means (n - 1). "
        "Interval: 95 % bootstrap interval of the mean over cases and seeds.",
        "Missed, spurious: structures only in the reference, only in the prediction; left out: values that are "
        "not in the mean. All three are sums over the arm's seeds and classes.",
        study_cells.policy_note(metric),
        *study_cells.seeds_note(results),
    )
    rows = tuple((*_setting(results, arm), *_arm_row(arm, metric)) for arm in results.arms)
    title = metric.directed(f"{metric.axis} of all arms")
    return Table(f"arms_{metric.key}", title, columns, rows, notes, columns.index("labeled"))


def totals_table(results: StudyResults, metric: StudyMetric, make: MakePair = make_pair) -> Table | None:
    """Return methods by number of unlabeled cases, including none; None if none has several totals at one count."""
    pairs = list(_totals_pairs(results, metric, make))
    if not pairs:
        return None
    gain = study_cells.gain_title(metric)
    figures = ("baseline mean", "method mean", gain, "difference (95 % interval)", "n", f"{results.repeated}s")
    columns = _columns(results, "method", "labeled", "unlabeled", *figures)
    notes = (
        study_cells.gain_note(metric, results.baseline),
        study_cells.difference_note(metric, results.baseline),
        study_cells.policy_note(metric),
        *study_cells.seeds_note(results),
        *study_cells.differing_seeds_note(pairs),
    )
    title = metric.directed(f"{metric.axis} by the number of unlabeled cases")
    rows = tuple((*_setting(results, pair.shown), *_totals_row(pair, metric)) for pair in pairs)
    return Table(f"totals_{metric.key}", title, columns, rows, notes, columns.index("labeled"))


def _columns(results: StudyResults, *others: str) -> tuple[str, ...]:
    return ("setting", *others) if any(results.settings) else others


def _setting(results: StudyResults, arm: StudyArm) -> list[Cell]:
    return [Cell(arm.setting)] if any(results.settings) else []


def _arm_row(arm: StudyArm, metric: StudyMetric) -> Iterator[Cell]:
    found, counts = estimate(arm, metric), arm_counts(arm, metric)
    yield Cell(arm.method)
    yield from (cells.count(number) for number in (arm.labeled, arm.total, found.seeds))
    yield study_cells.mean_and_sd(found, metric.digits)
    yield cells.interval(found.interval, metric.digits)
    yield from (cells.count(number) for number in (found.n, counts.missed, counts.spurious, counts.left_out))


def _totals_pairs(results: StudyResults, metric: StudyMetric, make: MakePair) -> Iterator[Pair]:
    for varied in varied_totals(results):
        for arm in results.arms:
            if (arm.setting, arm.method) == varied:
                yield make(results.find(arm.setting, results.baseline, arm.labeled), arm, metric)


def _totals_row(pair: Pair, metric: StudyMetric) -> Iterator[Cell]:
    arm, values, entry = pair.shown, pair.values(pair.mean), pair.entry(pair.mean)
    yield Cell(arm.method)
    yield from (cells.count(number) for number in (arm.labeled, arm.total - arm.labeled))
    yield from (cells.number(value, metric.digits) for value in values)
    yield study_cells.gain(metric, *values, pair.judged(pair.mean))
    yield study_cells.difference(entry, metric.digits)
    yield cells.count(pair.mean.n)
    yield study_cells.seeds(pair)
