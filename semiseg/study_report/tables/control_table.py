"""The table of the effect of unlabeled cases: each method compared with its control, which has none."""

from collections.abc import Iterator

from semiseg.render import cells
from semiseg.render.document import Cell, Table
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_controls import controlled
from semiseg.study_report.study_metric import StudyMetric
from semiseg.study_report.study_pairs import MakePair, Pair, adjusted_p, make_pair, verdict_text
from semiseg.study_report.tables import table_cells as study_cells
from semiseg.study_report.tables.compared_table import mean_cells

_CONTROL = "control"
_LACKING = "no control"


def control_table(results: StudyResults, metric: StudyMetric, make: MakePair = make_pair) -> Table | None:
    """Return one row per method and labeled count, including those that lack a control; None if no method has one.

    Numbers are as in the comparison with the baseline, with the control in place of the baseline. Holm's correction is
    over the tests of this table.
    """
    pairs = [pair for one in controlled(results, metric, make) for pair in one.pairs]
    if not pairs:
        return None
    adjusted = adjusted_p(pairs)
    tests = sum(p is not None for p in adjusted)
    settings = ("setting",) if any(results.settings) else ()
    columns = (
        *(*settings, "method", "labeled", "unlabeled", "control mean", "method mean", study_cells.gain_title(metric)),
        *("difference (95 % interval)", "p", "verdict", "n", f"{results.repeated}s"),
        *(["missed (control/method)"] if metric.is_distance else []),
    )
    notes = (
        "Control: the same method trained on the labeled cases alone, with as many steps. A step has the labeled "
        "samples of the method's; with training.batch_size.fill trainings or always, as many as both streams. The "
        "difference is the effect of unlabeled samples on top of the labeled ones, or else in place of further ones.",
        study_cells.gain_note(metric, "the control"),
        study_cells.difference_note(metric, "the control"),
        *([study_cells.p_note(tests)] if tests else []),
        study_cells.verdict_note(pairs),
        *_lacking_note(pairs),
        study_cells.policy_note(metric),
        *study_cells.missed_note(metric),
        *study_cells.seeds_note(results),
        *study_cells.differing_seeds_note(pairs),
    )
    judged = zip(pairs, adjusted, strict=True)
    rows = tuple((*_named(results, pair.shown), *_row(pair, metric, p)) for pair, p in judged)
    title = metric.directed(f"{metric.axis} of methods compared with their controls, which have no unlabeled cases")
    return Table(f"control_{metric.key}", title, columns, rows, notes, columns.index("labeled"))


def _named(results: StudyResults, arm: StudyArm) -> tuple[Cell, ...]:
    setting = (Cell(arm.setting),) if any(results.settings) else ()
    return (*setting, Cell(arm.method), cells.count(arm.labeled), cells.count(arm.total - arm.labeled))


def _row(pair: Pair, metric: StudyMetric, p: float | None) -> Iterator[Cell]:
    verdict = _LACKING if pair.baseline is None else verdict_text(pair, p, metric)
    return mean_cells(pair, metric, p, verdict, _CONTROL)


def _lacking_note(pairs: list[Pair]) -> tuple[str, ...]:
    if all(pair.baseline is not None for pair in pairs):
        return ()
    return (
        f"{_LACKING.capitalize()}: no scored model of the method was trained on this number of labeled cases alone, so "
        "the effect of unlabeled cases is unknown there.",
    )
