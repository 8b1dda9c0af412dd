"""The scores of a run: test predictions against test labels, their summary, and a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.split import ROLES
from semiseg.evaluation.harness import Score, score_case
from semiseg.evaluation.parallel import map_cases
from semiseg.evaluation.summary import summarize
from semiseg.evaluation.table import write_scores
from semiseg.io.atomic import write_json
from semiseg.io.volumes import read_label_file
from semiseg.pipeline.folder import RunFolder
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.predictions import CHECKPOINTS, prediction_path, weights_digest
from semiseg.pipeline.run_report import write_run_report
from semiseg.pipeline.viewed import view_case
from semiseg.progress import Reporter
from semiseg.recipe.compare import recipe_hash
from semiseg.report.document import ViewedCase
from semiseg.report.preview import write_preview
from semiseg.types import Case

PREVIEWED = 3


def score_predictions(plan: Plan, folder: RunFolder, reporter: Reporter) -> None:
    """Score the predictions of the test cases that have a label, and write what is told of them.

    That is scores.csv, preview.png, report.html and summary.json, which comes last: with it, the run is complete.
    """
    cases = [case for case in plan.split.test if case.label is not None]
    with reporter.work("scoring", len(cases), unit="case") as meter:
        rows = map_cases(lambda case: _score(case, plan, folder), cases, progress=meter.advance)
    scores = [score for row in rows for score in row]
    scores.sort(key=lambda score: CHECKPOINTS.index(score.checkpoint))
    write_scores(folder.scores, scores)
    summary = _summary(scores, plan, folder)
    if cases:
        _show(cases, plan, folder, scores, summary, reporter)
    write_json(folder.summary, summary)


def _score(case: Case, plan: Plan, folder: RunFolder) -> list[Score]:
    reference = plan.components.dataset.read_label(case)
    return [
        score
        for checkpoint in CHECKPOINTS
        for score in score_case(
            reference.array,
            _read_prediction(case, checkpoint, plan, folder),
            reference.geometry,
            plan.info.classes,
            plan.components.metrics,
            case=case.id,
            run=plan.recipe.name,
            checkpoint=checkpoint,
            regions=plan.regions,
        )
    ]


def _read_prediction(case: Case, checkpoint: str, plan: Plan, folder: RunFolder) -> NDArray[np.uint8]:
    indices = {value: index for index, value in enumerate(plan.info.class_values)}
    return read_label_file(prediction_path(folder, checkpoint, case), indices).array


def _show(
    cases: list[Case], plan: Plan, folder: RunFolder, scores: list[Score], summary: dict[str, Any], reporter: Reporter
) -> None:
    """Write what is to be looked at; whatever is wrong with it, it costs nobody the scores."""
    try:
        write_preview(folder.preview, [_preview(case, plan, folder) for case in cases[:PREVIEWED]], plan.info.classes)
        write_run_report(plan, folder, scores, summary)
    except Exception as error:
        reporter.say(f"Note: preview.png or report.html could not be written: {error!r}")


def _preview(case: Case, plan: Plan, folder: RunFolder) -> ViewedCase:
    predictions = {checkpoint: prediction_path(folder, checkpoint, case) for checkpoint in CHECKPOINTS}
    return view_case(case, plan.components.dataset, plan.info, predictions)


def _summary(scores: list[Score], plan: Plan, folder: RunFolder) -> dict[str, Any]:
    recipe, split, metrics = plan.recipe, plan.split, plan.components.metrics
    lower = [name for name, metric in metrics.items() if not metric.higher_is_better]
    return {
        "name": recipe.name,
        "recipe_hash": recipe_hash(recipe),
        "evaluation_hash": split.evaluation_hash,
        "cases_hash": split.cases_hash,
        "seed": recipe.seed,
        "cases": {role: len(split.cases(role)) for role in ROLES},
        "metric_versions": {name: metric.version for name, metric in metrics.items()},
        "weights": {name: weights_digest(folder, name) for name in CHECKPOINTS},
        "scores": summarize(scores, recipe.evaluation.missed, lower_is_better=lower),
    }
