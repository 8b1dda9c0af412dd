"""Scores of a study by case, and its worst cases with the predictions of the methods side by side."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from semiseg.comparison.read import ScoredRun
from semiseg.pipeline.predictions import prediction_path
from semiseg.recipe.components import resolve
from semiseg.recipe.load import load_recipe
from semiseg.render.case_scores import case_scores, worst_cases
from semiseg.render.document import CaseScore, ViewedCase
from semiseg.render.viewer_case import view_case
from semiseg.runs.folder import RunFolder
from semiseg.scoring.score_case import Score
from semiseg.study.folder import StudyFolder
from semiseg.study_report.results import StudyArm, StudyResults
from semiseg.study_report.study_metric import StudyMetric, method_curve

WORST = 6
ROWS = 60_000


@dataclass(frozen=True, slots=True)
class Viewed:
    """Cases for the viewer, and the names of their classes."""

    cases: tuple[ViewedCase, ...] = ()
    classes: tuple[str, ...] = ()


def all_scores(folder: StudyFolder, tables: Mapping[str, Sequence[Score]]) -> list[Score]:
    """Return the scores of every model in ``read_tables``, for both checkpoints, under the models' names."""
    return [
        replace(score, run=model["name"]) for model in folder.read()["models"] for score in tables.get(model["run"], ())
    ]


def page_scores(results: StudyResults) -> tuple[tuple[CaseScore, ...], tuple[str, ...]]:
    """Return at most ROWS rows of reported scores for the page's table, and a note if it is cut."""
    rows = tuple(row for run in _runs(results) for row in case_scores(run.scores.values(), run.name))
    if len(rows) <= ROWS:
        return rows, ()
    return rows[:ROWS], (f"The page has {ROWS:,} of {len(rows):,} scores; all are in scores.csv.",)


def worst_cases_of(folder: StudyFolder, results: StudyResults, metric: StudyMetric) -> tuple[Viewed, tuple[str, ...]]:
    """Return the worst cases with the fewest labels, with the baseline's and a method's predictions.

    Both are of the first seed. If data or predictions are no longer available, a note replaces the cases. The run
    folders record that the test cases were read again.
    """
    pair = _pair(results)
    if not pair:
        return Viewed(), ()
    runs = {arm.method: arm.runs[0] for arm in pair}
    scores = [score for run in runs.values() for score in run.scores.values()]
    worst = worst_cases(scores, metric.name, higher_is_better=metric.higher_is_better, count=WORST)
    about = {case: _about(case, runs, metric) for case, _ in worst}
    try:
        return viewed(runs, list(about), about), ()
    except Exception as error:  # problems with the data must not prevent the report
        said = str(error).splitlines()[0] if str(error) else repr(error)
        return Viewed(), (f"The worst cases cannot be shown: {said}",)


def _pair(results: StudyResults) -> Sequence[StudyArm]:
    for setting in results.settings:
        for method in results.methods:
            for arm in method_curve(results, setting, method):
                baseline = results.find(setting, results.baseline, arm.labeled)
                if baseline is not None:
                    return baseline, arm
    return results.arms[:1]


def viewed(runs: Mapping[str, ScoredRun], case_ids: Sequence[str], about: Mapping[str, str] | None = None) -> Viewed:
    """Return test cases with the predictions of runs by title; the run folders record that they were read again.

    Raises SemisegError if data or predictions are no longer available.
    """
    first = next(iter(runs.values()))
    recipe = load_recipe(RunFolder(Path(first.path)).recipe, expand=False)
    dataset = resolve(recipe).dataset
    info, cases = dataset.info(), {case.id: case for case in dataset.cases()}
    for run in runs.values():
        RunFolder(Path(run.path)).open_test_set("study report", {"cases": [*case_ids]})
    shown = tuple(
        view_case(
            cases[case_id],
            dataset,
            info,
            {
                method: prediction_path(RunFolder(Path(run.path)), run.checkpoint, cases[case_id], dataset)
                for method, run in runs.items()
            },
            (about or {}).get(case_id, ""),
        )
        for case_id in case_ids
    )
    return Viewed(shown, info.classes)


def _about(case_id: str, runs: dict[str, ScoredRun], metric: StudyMetric) -> str:
    said = []
    for method, run in runs.items():
        rows = [s for s in run.scores.values() if (s.metric, s.case, s.kind) == (metric.name, case_id, "class")]
        mean = sum(score.value for score in rows) / len(rows)
        said.append(f"{mean:.{metric.digits}f} {method}")
    return f"mean {metric.title} {', '.join(said)}"


def _runs(results: StudyResults) -> Iterator[ScoredRun]:
    for arm in results.arms:
        yield from arm.runs
