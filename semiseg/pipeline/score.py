"""The end of a run: the test cases are opened, predicted with the last and the best weights, and scored."""

from pathlib import Path
from typing import Any

import numpy as np

from semiseg.data.preprocess import prepare
from semiseg.engine.checkpoint import Checkpoints, file_digest
from semiseg.engine.runtime import Runtime
from semiseg.evaluation.harness import Score, score_case
from semiseg.evaluation.summary import summarize
from semiseg.evaluation.table import write_scores
from semiseg.inference.sliding_window import Predictor
from semiseg.interfaces.dataset import Dataset
from semiseg.io.atomic import write_json, write_text
from semiseg.io.nifti import read_nifti, write_label
from semiseg.pipeline.folder import RunFolder
from semiseg.pipeline.model import Model, load_weights
from semiseg.pipeline.plan import Plan
from semiseg.progress import Reporter
from semiseg.recipe.compare import recipe_hash
from semiseg.recipe.schema import Recipe
from semiseg.types import Case, DatasetInfo

CHECKPOINTS = ("last", "best")


def weights_digest(folder: RunFolder, checkpoint: str) -> str:
    """SHA-256 of ``last.pt`` or ``best.pt``."""
    return file_digest(Checkpoints(folder.checkpoints, lambda text: None).weights_file(checkpoint))


def predict_test_cases(plan: Plan, model: Model, folder: RunFolder, runtime: Runtime, reporter: Reporter) -> None:
    """Predict every test case with the last and the best weights; what is there already is kept."""
    if not plan.split.test:
        return
    digests = {name: weights_digest(folder, name) for name in CHECKPOINTS}
    if runtime.is_main:
        folder.open_test_set("run", {"weights": digests})
    total = len(CHECKPOINTS) * len(plan.split.test)
    with reporter.work("predicting test cases", total, unit="case") as meter:
        for checkpoint in CHECKPOINTS:
            target = folder.predictions / checkpoint
            if runtime.is_main:
                _keep_only_of(target, digests[checkpoint])
            runtime.barrier()
            load_weights(model, folder, checkpoint)
            predictor = model.predictor(runtime.device)
            for index, case in enumerate(plan.split.test):
                path = target / f"{case.id}.nii.gz"
                if index % runtime.world == runtime.rank and not path.exists():
                    predict_case(case, plan.components.dataset, predictor, plan.recipe, plan.info, path)
                meter.advance()
            runtime.barrier()


def _keep_only_of(target: Path, digest: str) -> None:
    # Predictions of other weights (a run that was trained further, say) are not of this result.
    stamp = target / "weights.sha256"
    if not stamp.exists() or stamp.read_text(encoding="utf-8").strip() != digest:
        for old in target.glob("*.nii.gz"):
            old.unlink()
        write_text(stamp, digest + "\n")


def predict_case(
    case: Case, dataset: Dataset, predictor: Predictor, recipe: Recipe, info: DatasetInfo, path: Path
) -> None:
    """Predict one case and write it as NIfTI in the image's own grid, with the dataset's own label values."""
    volume = dataset.read_image(case)
    prepared = prepare(volume, recipe.preprocessing)
    labels = prepared.restore(predictor.labels(prepared.normalized()))
    values = np.asarray(info.class_values, dtype=np.uint8)
    write_label(path, values[labels], volume.geometry)


def score_predictions(plan: Plan, folder: RunFolder, reporter: Reporter) -> tuple[list[Score], dict[str, Any]]:
    """Score the predictions against the test labels; writes scores.csv and summary.json."""
    recipe, dataset, metrics = plan.recipe, plan.components.dataset, plan.components.metrics
    to_class = np.zeros(256, dtype=np.uint8)
    for index, value in enumerate(plan.info.class_values):
        to_class[value] = index
    with_labels = [case for case in plan.split.test if case.label is not None]
    scores: list[Score] = []
    with reporter.work("scoring", len(CHECKPOINTS) * len(with_labels), unit="case") as meter:
        for case in with_labels:
            reference = dataset.read_label(case)
            for checkpoint in CHECKPOINTS:
                values, _ = read_nifti(folder.predictions / checkpoint / f"{case.id}.nii.gz")
                scores += score_case(
                    reference.array,
                    to_class[values.astype(np.uint8)],
                    reference.geometry,
                    plan.info.classes,
                    metrics,
                    case=case.id,
                    run=recipe.name,
                    checkpoint=checkpoint,
                )
                meter.advance()
    summary = {
        "name": recipe.name,
        "recipe_hash": recipe_hash(recipe),
        "evaluation_hash": plan.split.evaluation_hash,
        "cases_hash": plan.split.cases_hash,
        "seed": recipe.seed,
        "labeled": len(plan.split.labeled),
        "unlabeled": len(plan.split.unlabeled),
        "weights": {name: weights_digest(folder, name) for name in CHECKPOINTS},
        "scores": summarize(scores, recipe.evaluation.missed),
    }
    write_scores(folder.scores, scores)
    write_json(folder.summary, summary)
    return scores, summary
