"""Test cases are opened at the end of a run, and predicted with the last and the best weights."""

from pathlib import Path

import numpy as np

from semiseg.data.preprocess import prepare
from semiseg.engine.checkpoint import file_digest
from semiseg.engine.out_of_memory import PREDICTION_FIX, told_when_out_of_memory
from semiseg.engine.runtime import Runtime
from semiseg.inference.sliding_window import Predictor
from semiseg.interfaces.dataset import Dataset
from semiseg.io.nifti import write_label
from semiseg.pipeline.folder import RunFolder
from semiseg.pipeline.model import Model, load_weights
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.stamped import keep_only_of
from semiseg.progress import Reporter
from semiseg.recipe.schema import Recipe
from semiseg.types import Case, DatasetInfo

CHECKPOINTS = ("last", "best")


def weights_digest(folder: RunFolder, checkpoint: str) -> str:
    """SHA-256 of ``last.pt`` or ``best.pt``."""
    return file_digest(folder.weights(checkpoint))


def prediction_path(folder: RunFolder, checkpoint: str, case: Case) -> Path:
    """Where the prediction of a test case stands."""
    return folder.predictions / checkpoint / f"{case.id}.nii.gz"


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
                keep_only_of(target, digests[checkpoint], "*.nii.gz")
            runtime.barrier()
            load_weights(model, folder.weights(checkpoint))
            predictor = model.predictor(runtime.device)
            with told_when_out_of_memory(runtime.device, PREDICTION_FIX):
                for index, case in enumerate(plan.split.test):
                    path = prediction_path(folder, checkpoint, case)
                    if index % runtime.world == runtime.rank and not path.exists():
                        predict_case(case, plan.components.dataset, predictor, plan.recipe, plan.info, path)
                    meter.advance()
            runtime.barrier()


def predict_case(
    case: Case, dataset: Dataset, predictor: Predictor, recipe: Recipe, info: DatasetInfo, path: Path
) -> None:
    """Predict one case and write it as NIfTI in the image's own grid, with the dataset's own label values."""
    volume = dataset.read_image(case)
    prepared = prepare(volume, recipe.preprocessing)
    labels = prepared.restore(predictor.labels(prepared.normalized()))
    values = np.asarray(info.class_values)
    write_label(path, values[labels], volume.geometry)
