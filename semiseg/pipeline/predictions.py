"""Predictions of the test cases, opened at the end of a run, with the last and the best weights."""

import filecmp
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.verify import named
from semiseg.engine.memory import PREDICTION_FIX, raising_on_oom
from semiseg.engine.runtime import Runtime
from semiseg.errors import DataError
from semiseg.inference.image import Ensemble, Receive
from semiseg.interfaces.dataset import Dataset
from semiseg.io.atomic import atomic_file, write_json
from semiseg.io.labels import LABEL_ENDINGS, label_ending, write_label
from semiseg.io.volumes import read_label_file
from semiseg.messages import some
from semiseg.pipeline.cost import cost_note
from semiseg.pipeline.model import Model, load_weights
from semiseg.pipeline.plan import Plan
from semiseg.progress import Meter, Reporter
from semiseg.quality.agreement import Agreement
from semiseg.quality.calibration import Calibration, CaseAgreement, key_of, read_calibration
from semiseg.runs.checkpoint import file_digest, same_weights
from semiseg.runs.folder import RunFolder
from semiseg.runs.postprocessing import largest_classes, read_decision
from semiseg.runs.provenance import discard_others
from semiseg.scoring.same_weights import shown
from semiseg.types import Case, DatasetInfo, Geometry, Volume

CHECKPOINTS = ("last", "best")
Receiver = Callable[[Volume], Receive]
"""Returns the receiver of an image's probabilities."""


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
            if folder.quality.exists():
                discard_others(folder.agreement / checkpoint, digests[checkpoint], "*.json")
            _remove_damaged(plan, folder, checkpoint, reporter)
    runtime.barrier()
    checkpoints = shown(CHECKPOINTS, same)
    if runtime.is_main:
        grids = {case.id: plan.components.dataset.read_geometry(case) for case in plan.split.test}
        if note := cost_note(grids, model.alone(runtime.device), plan.task, len(checkpoints)):
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
    ensemble = own_ensemble(plan, model, folder, checkpoint, runtime)
    calibration = calibration_of(plan, folder, checkpoint, ensemble)
    with raising_on_oom(runtime.device, PREDICTION_FIX):
        for index, case in enumerate(plan.split.test):
            path = prediction_path(folder, checkpoint, case, plan.components.dataset)
            measures = agreement_path(folder, checkpoint, case)
            is_done = path.exists() and (calibration is None or measures.exists())
            if index % runtime.world == runtime.rank and not is_done:
                if calibration is None:
                    predict_case(case, plan.components.dataset, ensemble, plan.info, path)
                else:
                    _predict_measured(case, plan, ensemble, calibration, path, measures)
            meter.advance()


def own_ensemble(plan: Plan, model: Model, folder: RunFolder, checkpoint: str, runtime: Runtime) -> Ensemble:
    """Return the model as it predicts test cases; with ``postprocess: auto`` as decided for the checkpoint."""
    mode, classes = plan.recipe.inference.postprocess, plan.info.classes
    ensemble, decision = model.alone(runtime.device), None
    if mode == "auto":
        axes = ensemble.members[0].predictor.mirrored_axes
        decision = read_decision(folder, checkpoint, weights_digest(folder, checkpoint), axes, classes[1:])
    return replace(ensemble, largest=largest_classes(mode, classes, decision))


def calibration_of(plan: Plan, folder: RunFolder, checkpoint: str, ensemble: Ensemble) -> Calibration | None:
    """Return the calibration of expected Dice for a checkpoint as it predicts test cases, or None."""
    key = key_of(checkpoint, weights_digest(folder, checkpoint), ensemble, plan.info.classes)
    return read_calibration(folder, key)


def agreement_path(folder: RunFolder, checkpoint: str, case: Case) -> Path:
    """Return the path of a test case's agreement by structure."""
    return folder.agreement / checkpoint / f"{case.id}.json"


def _predict_measured(
    case: Case, plan: Plan, ensemble: Ensemble, calibration: Calibration, path: Path, measures: Path
) -> None:
    """Predict a test case, and write its agreement before its prediction."""
    agreement = Agreement(calibration.used, ensemble.members[0].predictor.strategy.coding)
    labels, geometry = predicted(case, plan.components.dataset, ensemble, lambda _: agreement.receive)
    measured = CaseAgreement(key=calibration.key, agreement=agreement.values())
    write_json(measures, measured.model_dump(mode="json"))
    write_label(path, stored_values(labels, plan.info), geometry)


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


def predict_case(case: Case, dataset: Dataset, ensemble: Ensemble, info: DatasetInfo, path: Path) -> None:
    """Predict one case and write it (``write_label``) on the image's own grid, with the dataset's label values.

    Raises DataError, naming a file or the case, for an unusable image.
    """
    labels, geometry = predicted(case, dataset, ensemble)
    write_label(path, stored_values(labels, info), geometry)


def predicted(
    case: Case, dataset: Dataset, ensemble: Ensemble, receive: Receiver | None = None
) -> tuple[NDArray[np.uint8], Geometry]:
    """Return the predicted class indices (X, Y, Z) of a case, and the image's own grid.

    ``receive`` is called with the image and returns the receiver of the probabilities (``Ensemble.predict``).
    """
    try:
        volume = dataset.read_image(case)
        labels = ensemble.predict(volume, f"case {case.id}", receive and receive(volume))
    except DataError as error:
        raise DataError(named(case, error)) from error
    return labels, volume.geometry


def stored_values(labels: NDArray[np.uint8], info: DatasetInfo) -> NDArray[Any]:
    """Return the dataset's label values for class indices."""
    values = np.asarray(info.class_values)
    return values.astype(np.result_type(*(np.min_scalar_type(value) for value in values)))[labels]
