"""Expected against true Dice of a study's models on its test cases."""

from collections.abc import Iterator
from statistics import mean

from semiseg.comparison.read import ScoredRun
from semiseg.messages import some
from semiseg.pipeline.quality.section import COLUMNS, NOTES, TITLE, figures, quality_figure
from semiseg.quality.held_out import Compared, HeldOut, held_out, read_compared
from semiseg.render import cells
from semiseg.render.document import Cell, Section, Table
from semiseg.runs.folder import RunFolder
from semiseg.study_report.results import StudyResults


def quality_section(results: StudyResults) -> Section | None:
    """Return the section of a study's report: means over the runs of each arm; None if no run has expected Dice."""
    rows, pooled = list[tuple[Cell, ...]](), list[Compared]()
    settings, unread = any(results.settings), list[str]()
    for arm in results.arms:
        tested = [found for run in arm.runs if (found := _tested(run, unread))]
        pooled += [one for found in tested for one in found]
        first = (*([Cell(arm.setting)] if settings else []), Cell(arm.method))
        counts = (cells.count(arm.labeled), cells.count(arm.total))
        for runs, one in _means([held_out(found) for found in tested]):
            rows.append((*first, Cell(one.structure), *counts, cells.count(runs), *figures(one)))
    damaged = [f"No table of expected Dice: {some(unread, 4)} cannot be read."] if unread else []
    if not rows:
        return Section(TITLE, tuple(damaged)) if damaged else None
    names = (*(["setting"] if settings else []), "method", "class", "labeled", "cases in all", f"{results.repeated}s")
    notes = (*NOTES, "Means over the models of an arm; cases are summed.")
    table = Table(
        "expected_dice", "expected against true Dice", (*names, *COLUMNS[1:]), tuple(rows), notes, 3 if settings else 2
    )
    text = "The Dice to expect of each test case, as semiseg predict gives it for new images, beside the true one."
    return Section(TITLE, (text, *damaged), (table,), (quality_figure(pooled, "expected_dice"),))


def _tested(run: ScoredRun, unread: list[str]) -> list[Compared]:
    """Return a run's test cases at its checkpoint; empty if it has no expected Dice, or a damaged table: ``unread``."""
    path = RunFolder(run.path).expected
    name = "last" if run.summary.get("best_is_last") else run.checkpoint
    try:
        return read_compared(path).get(name, []) if path.exists() else []
    except (OSError, ValueError, KeyError, TypeError):
        unread.append(str(path))
        return []


def _means(runs: list[list[HeldOut]]) -> Iterator[tuple[int, HeldOut]]:
    """Yield for each structure the number of runs that have it, and the means of their figures."""
    for name in dict.fromkeys(one.structure for found in runs for one in found):
        same = [one for found in runs for one in found if one.structure == name]
        ranks = [one.rank_correlation for one in same if one.rank_correlation is not None]
        yield (
            len(same),
            HeldOut(
                name,
                sum(one.n for one in same),
                sum(one.left_out for one in same),
                mean(ranks) if ranks else None,
                mean(one.mean_error for one in same),
                mean(one.coverage for one in same),
                mean(one.width for one in same),
            ),
        )
