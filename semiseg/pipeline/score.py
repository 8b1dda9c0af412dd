"""The scores of a run: test predictions compared with test labels, their summary, and a preview."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.split import ROLES
from semiseg.io.atomic import write_json
from semiseg.io.volumes import read_label_file
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.predictions import CHECKPOINTS, prediction_path, weights_digest
from semiseg.pipeline.quality.testing import compare_with_true_dice
from semiseg.pipeline.run_report import write_run_report
from semiseg.progress import Reporter
from semiseg.recipe.diff import recipe_hash
from semiseg.render.document import ViewedCase
from semiseg.render.preview import write_preview
from semiseg.render.viewer_case import view_case
from semiseg.runs.checkpoint import file_digest
from semiseg.runs.folder import RunFolder
from semiseg.scoring.parallel import map_cases
from semiseg.scoring.same_weights import shown
from semiseg.scoring.score_case import Score, score_case
from semiseg.scoring.summary import summarize
from semiseg.scoring.table import write_scores
from semiseg.types import Case

PREVIEWED = 3


def score_predictions(plan: Plan, folder: RunFolder, same: bool, reporter: Reporter) -> None:
    """Score the predictions of the labeled test cases and write the results.

    These are scores.csv, preview.png, report.html and summary.json, which comes last and marks the run as complete.
    If ``last`` and ``best`` are the ``same`` weights, each case is scored once, for both.
    """
    cases = [case for case in plan.split.test if case.label is not None]
    with reporter.work("scoring", len(cases), unit="case") as meter:
        rows = map_cases(lambda case: _score(case, plan, folder, same), cases, progress=meter.advance)
    scores = [score for row in rows for score in row]
    if same:
        scores += [replace(score, checkpoint="best") for score in scores]
    scores.sort(key=lambda score: CHECKPOINTS.index(score.checkpoint))
    write_scores(folder.scores, scores)
    compare_with_true_dice(plan, folder, scores, [*shown(CHECKPOINTS, same)])
    summary = _summary(scores, plan, folder, same)
    show_scores(plan, folder, scores, summary, reporter)
    write_json(folder.summary, summary)


def _score(case: Case, plan: Plan, folder: RunFolder, same: bool) -> list[Score]:
    reference = plan.components.dataset.read_label(case)
    return [
        score
        for checkpoint in shown(CHECKPOINTS, same)
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
            has_ignored=plan.info.has_ignored,
        )
    ]


def _read_prediction(case: Case, checkpoint: str, plan: Plan, folder: RunFolder) -> NDArray[np.uint8]:
    indices = {value: index for index, value in enumerate(plan.info.class_values)}
    path = prediction_path(folder, checkpoint, case, plan.components.dataset)
    return read_label_file(path, indices).array


def show_scores(
    plan: Plan, folder: RunFolder, scores: Sequence[Score], summary: Mapping[str, Any], reporter: Reporter
) -> None:
    """Write preview.png and report.html; errors are reported as notes, since the scores are already written."""
    cases = [case for case in plan.split.test if case.label is not None]
    if not cases:
        return
    try:
        folder.report.unlink(missing_ok=True)  # an old report with other scores must not remain
        viewed = [_preview(case, plan, folder, summary["best_is_last"]) for case in cases[:PREVIEWED]]
        write_preview(folder.preview, viewed, plan.info.classes)
        write_run_report(plan, folder, scores, summary)
    except Exception as error:
        reporter.say(f"Note: preview.png or report.html could not be written: {error!r}")


def _preview(case: Case, plan: Plan, folder: RunFolder, same: bool) -> ViewedCase:
    dataset, titles = plan.components.dataset, shown(CHECKPOINTS, same)
    predictions = {title: prediction_path(folder, name, case, dataset) for name, title in titles.items()}
    return view_case(case, dataset, plan.info, predictions)


def _summary(scores: list[Score], plan: Plan, folder: RunFolder, same: bool) -> dict[str, Any]:
    recipe, split, metrics = plan.recipe, plan.split, plan.components.metrics
    lower = [name for name, metric in metrics.items() if not metric.higher_is_better]
    extended = folder.extensions()
    return {
        "name": recipe.name,
        "recipe_hash": recipe_hash(plan.written),
        "evaluation_hash": split.evaluation_hash,
        "cases_hash": split.cases_hash,
        "seed": recipe.seed,
        **({"extended": extended} if extended else {}),
        "cases": {role: len(split.cases(role)) for role in ROLES},
        "metric_versions": {name: metric.version for name, metric in metrics.items()},
        "weights": {name: weights_digest(folder, name) for name in CHECKPOINTS},
        "table": file_digest(folder.scores),
        "best_is_last": same,
        "scores": summarize(scores, recipe.evaluation.missed, lower_is_better=lower),
    }
