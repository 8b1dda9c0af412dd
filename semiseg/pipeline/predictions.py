"""Predictions of the test cases, opened at the end of a run, with the last and the best weights."""

import filecmp
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.verify import named
from semiseg.engine.memory import PREDICTION_FIX, raising_on_oom
from semiseg.engine.runtime import Runtime
from semiseg.errors import DataError
from semiseg.inference.sliding_window import Predictor
from semiseg.interfaces.dataset import Dataset
from semiseg.io.atomic import atomic_file
from semiseg.io.labels import LABEL_ENDINGS, label_ending, write_label
from semiseg.io.volumes import read_label_file
from semiseg.messages import some
from semiseg.pipeline.cost import cost_note
from semiseg.pipeline.model import Model, load_weights
from semiseg.pipeline.plan import Plan
from semiseg.preprocessing.prepare import prepare
from semiseg.progress import Meter, Reporter
from semiseg.recipe.schema import Recipe
from semiseg.runs.checkpoint import file_digest, same_weights
from semiseg.runs.folder import RunFolder
from semiseg.runs.provenance import discard_others
from semiseg.scoring.same_weights import shown
from semiseg.types import Case, DatasetInfo, Geometry

CHECKPOINTS = ("last", "best")


def weights_digest(folder: RunFolder, checkpoint: str) -> str:
    """Return the SHA-256 of ``last.pt`` or ``best.pt``."""
    return file_digest(folder.weights(checkpoint))


def prediction_path(folder: RunFolder, checkpoint: str, case: Case, dataset: Dataset) -> Path:
    """Return the path of a test case's prediction, whose format depends on the unit of the image's grid."""
    return folder.predictions / checkpoint / f"{case.id}{label_ending(dataset.read_geometry(case).unit)}"


def best_is_last(folder: RunFolder, runtime: Runtime) -> bool:
    """Return whether ``best`` and ``last`` are the same weights; the result is the same in all processes."""
    same = runtime.is_main and same_weights(*map(folder.weights, CHECKPOINTS))
    return bool(runtime.broadcast(same))


def predict_test_cases(
    plan: Plan, model: Model, folder: RunFolder, same: bool, runtime: Runtime, reporter: Reporter
) -> None:
    """Predict every test case with the last and the best weights, keeping existing predictions.

    If they are the ``same``, each case is predicted once, and ``predictions/best`` holds copies.
    """
    if not plan.split.test:
        return
    digests = {name: weights_digest(folder, name) for name in CHECKPOINTS}
    if runtime.is_main:
        folder.open_test_set("run", {"weights": digests})
        for checkpoint in CHECKPOINTS:
            discard_others(
                folder.predictions / checkpoint, digests[checkpoint], *(f"*{ending}" for ending in LABEL_ENDINGS)
            )
            _remove_damaged(plan, folder, checkpoint, reporter)
    runtime.barrier()
    checkpoints = shown(CHECKPOINTS, same)
    if runtime.is_main:
        grids = {case.id: plan.components.dataset.read_geometry(case) for case in plan.split.test}
        predictor, options = model.predictor(runtime.device), plan.recipe.preprocessing
        if note := cost_note(grids, predictor, plan.task, options, len(checkpoints)):
            reporter.say(f"Note: {note}.")
    with reporter.work("predicting test cases", len(checkpoints) * len(plan.split.test), unit="case") as meter:
        for checkpoint in checkpoints:
            _predict_missing(plan, model, folder, checkpoint, runtime, meter)
            runtime.barrier()
    if same and runtime.is_main:
        _copy_predictions(plan, folder)


def _predict_missing(
    plan: Plan, model: Model, folder: RunFolder, checkpoint: str, runtime: Runtime, meter: Meter
) -> None:
    load_weights(model, folder.weights(checkpoint))
    predictor = model.predictor(runtime.device)
    with raising_on_oom(runtime.device, PREDICTION_FIX):
        for index, case in enumerate(plan.split.test):
            path = prediction_path(folder, checkpoint, case, plan.components.dataset)
            if index % runtime.world == runtime.rank and not path.exists():
                predict_case(case, plan.components.dataset, predictor, plan.recipe, plan.info, path)
            meter.advance()


def _remove_damaged(plan: Plan, folder: RunFolder, checkpoint: str, reporter: Reporter) -> None:
    """Remove unreadable predictions, or ones on another grid, from an earlier start; they will be predicted again."""
    indices = {value: index for index, value in enumerate(plan.info.class_values)}
    damaged = []
    for case in plan.split.test:
        path = prediction_path(folder, checkpoint, case, plan.components.dataset)
        if not path.exists():
            continue
        try:
            found = read_label_file(path, indices)
            whole = not plan.components.dataset.read_geometry(case).difference(found.geometry)
        except DataError:
            whole = False
        if not whole:
            path.unlink()
            damaged.append(case.id)
    if damaged:
        reporter.say(f"Note: damaged predictions in {folder.predictions / checkpoint} are redone: {some(damaged)}.")


def _copy_predictions(plan: Plan, folder: RunFolder) -> None:
    """Copy ``predictions/last`` to ``predictions/best``.

    Copies are small, and with links a file edited or damaged in one folder would change in the other too. A copy that
    differs from its source, for instance because the source was rebuilt, is copied again.
    """
    dataset = plan.components.dataset
    for case in plan.split.test:
        source, target = (prediction_path(folder, checkpoint, case, dataset) for checkpoint in CHECKPOINTS)
        if not target.exists() or not filecmp.cmp(source, target, shallow=False):
            with atomic_file(target) as temporary:
                shutil.copyfile(source, temporary)


def predict_case(
    case: Case, dataset: Dataset, predictor: Predictor, recipe: Recipe, info: DatasetInfo, path: Path
) -> None:
    """Predict one case and write it (``write_label``) on the image's own grid, with the dataset's label values.

    Raises DataError, naming a file or the case, for an unusable image.
    """
    write_label(path, *predicted(case, dataset, predictor, recipe, info))


def predicted(
    case: Case, dataset: Dataset, predictor: Predictor, recipe: Recipe, info: DatasetInfo
) -> tuple[NDArray[Any], Geometry]:
    """Return what ``predict_case`` writes: the dataset's label values (X, Y, Z) and the image's own grid."""
    try:
        volume = dataset.read_image(case)
        prepared = prepare(volume, recipe.preprocessing, f"case {case.id}", info.modalities)
    except DataError as error:
        raise DataError(named(case, error)) from error
    labels = prepared.restore(predictor.labels(prepared.normalized(), prepared.preparation.slice_axis))
    values = np.asarray(info.class_values)
    return values[labels], volume.geometry
