"""report.html of a run."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from semiseg.pipeline.initial_weights.kept import initial_weights
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.predictions import CHECKPOINTS, prediction_path
from semiseg.pipeline.quality.section import quality_section
from semiseg.quality.held_out import read_compared
from semiseg.render.case_scores import worst_cases
from semiseg.render.document import Section, ViewedCase
from semiseg.render.page import write_page
from semiseg.render.run_page import run_page
from semiseg.render.viewer_case import view_case
from semiseg.runs.folder import RunFolder
from semiseg.scoring.same_weights import shown
from semiseg.scoring.score_case import Score

WORST = 6
_POSTPROCESSING = {
    "largest_component": "only the largest component of each class",
    "auto": "only the largest component of the classes in postprocessing.json",
}


def write_run_report(plan: Plan, folder: RunFolder, scores: Sequence[Score], summary: Mapping[str, Any]) -> None:
    """Write report.html: scores, training, and the worst test cases of the last weights slice by slice.

    Raises DataError if an image or prediction cannot be read, StorageError if writing fails.
    """
    environment = json.loads(folder.environment.read_text(encoding="utf-8"))
    about = {**_about(plan), **initial_weights(folder)}
    titles = shown(CHECKPOINTS, summary["best_is_last"])
    cases = _worst(plan, folder, scores, titles)
    quality = _quality(folder, titles)
    page = run_page(summary, scores, folder.log_records(), cases, plan.info.classes, about, environment, quality)
    write_page(folder.report, page)


def _quality(folder: RunFolder, titles: Mapping[str, str]) -> list[Section]:
    if not folder.expected.exists():
        return []
    tested = read_compared(folder.expected)
    sections = [quality_section(tested.get(name, ()), name, title) for name, title in titles.items()]
    return [section for section in sections if section is not None]


def _about(plan: Plan) -> dict[str, str]:
    recipe = plan.recipe
    further = {}
    if plan.task.regions:
        further["outputs of the networks"] = f"overlapping regions: {', '.join(plan.task.regions)}"
    if plan.split.fold:
        further["fold"] = plan.split.fold.describe(len(plan.split.labeled), len(plan.split.validation))
    if recipe.inference.mirror:
        further["prediction"] = "mean over flips of each window"
    if recipe.inference.postprocess != "none":
        further["postprocessing"] = _POSTPROCESSING[recipe.inference.postprocess]
    if plan.info.has_ignored:
        further["ignored label value"] = str(plan.info.ignore)
    if files := plan.pseudo:
        sure = "" if files.threshold is None else f", where its confidence is at least {files.threshold:g}"
        further["pseudo-labels"] = f"{len(files.by_case)} cases, from the files of another model{sure}"
    return {
        "strategy": str(recipe.strategy.name),
        "backbone": str(recipe.backbone.name),
        "dataset": f"{recipe.dataset.name}: {plan.info.name}",
        "training": f"{plan.draws.described()} patches of {' x '.join(map(str, recipe.training.patch))}",
        **further,
    }


def _worst(plan: Plan, folder: RunFolder, scores: Sequence[Score], titles: Mapping[str, str]) -> list[ViewedCase]:
    metric = next(iter(plan.components.metrics.items()))
    name, higher = metric[0], metric[1].higher_is_better
    cases, dataset = {case.id: case for case in plan.split.test}, plan.components.dataset
    worst = worst_cases(
        [score for score in scores if score.checkpoint == "last"], name, higher_is_better=higher, count=WORST
    )
    return [
        view_case(
            cases[case_id],
            dataset,
            plan.info,
            {title: prediction_path(folder, weights, cases[case_id], dataset) for weights, title in titles.items()},
            f"mean {name} {value:.3f}, {titles['last']} weights",
        )
        for case_id, value in worst
    ]
