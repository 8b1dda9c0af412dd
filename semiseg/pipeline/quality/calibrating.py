"""The calibration of expected Dice by a run's validation cases."""

import math
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from semiseg.engine.memory import PREDICTION_FIX, raising_on_oom
from semiseg.engine.runtime import Runtime
from semiseg.inference.image import Ensemble, Receive
from semiseg.pipeline.model import Model, load_weights
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.predictions import CHECKPOINTS, own_ensemble, predicted, weights_digest
from semiseg.progress import Reporter
from semiseg.quality.agreement import Agreement, Structure, structures_of
from semiseg.quality.calibration import Calibration, Key, MeasuredCase, key_of, read_calibration, write_calibration
from semiseg.quality.features import feature_role
from semiseg.quality.interval import FEWEST
from semiseg.quality.unlike import KnownCases, chosen
from semiseg.registry import create
from semiseg.runs.folder import RunFolder
from semiseg.scoring.same_weights import shown
from semiseg.scoring.score_case import score_case
from semiseg.types import Case, Geometry, Volume


def n_patients(cases: Sequence[Case]) -> int:
    """Return the number of patients of some cases."""
    return len({case.patient for case in cases})


def calibrate(plan: Plan, model: Model, folder: RunFolder, same: bool, runtime: Runtime, reporter: Reporter) -> None:
    """Calibrate the expected Dice of the last and the best weights, once if they are the ``same``, and record it.

    Runs with fewer than FEWEST validation patients have no calibration.
    """
    if n_patients(plan.split.validation) < FEWEST:
        return
    for checkpoint in shown(CHECKPOINTS, same):
        ensemble = own_ensemble(plan, model, folder, checkpoint, runtime)
        names = CHECKPOINTS if same else (checkpoint,)
        keys = [key_of(name, weights_digest(folder, name), ensemble, plan.info.classes) for name in names]
        known = [read_calibration(folder, key) for key in keys]
        runtime.barrier()  # every process has read the file before it changes
        if any(one is None for one in known):
            load_weights(model, folder.weights(checkpoint))
            made = new_calibration(keys[0], plan, ensemble, plan.split.validation, runtime, reporter)
            if runtime.is_main:
                write_calibration(folder, *(made.model_copy(update={"key": key}) for key in keys))
        runtime.barrier()


def new_calibration(
    key: Key, plan: Plan, ensemble: Ensemble, cases: Sequence[Case], runtime: Runtime, reporter: Reporter
) -> Calibration:
    """Return a calibration by validation ``cases``; each process predicts a share.

    Raises DataError for an unusable case.
    """
    structures, role = structures_of(plan.task, plan.regions), feature_role(ensemble.members[0])
    training = chosen((*plan.split.labeled, *plan.split.unlabeled)) if role else []
    found, features = [], []
    with reporter.work("calibrating expected Dice", len(cases) + len(training), unit="case") as meter:
        for index, case in enumerate((*cases, *training)):
            if index % runtime.world == runtime.rank:
                with raising_on_oom(runtime.device, PREDICTION_FIX):
                    if index < len(cases):
                        measured, own = _measured(case, plan, ensemble, structures, role)
                        found.append((index, measured))
                    else:
                        own = _features(ensemble, role, plan.components.dataset.read_image(case), case)
                if own is not None:
                    features.append((index, case.id, case.patient, own))
            meter.advance()
    measures = [one for _, one in sorted(chain(*runtime.gather(found)), key=itemgetter(0))]
    known, unchecked = None, ""
    if role:
        ordered = sorted(chain(*runtime.gather(features)), key=itemgetter(0))
        _, ids, patients, values = zip(*ordered, strict=True)
        known = KnownCases.of(ids, patients, values)
    else:
        unchecked = f"backbone {plan.recipe.backbone.name} gives no features (it lacks the capability split)"
    return Calibration.of(key, structures, measures, known, unchecked)


def _measured(
    case: Case, plan: Plan, ensemble: Ensemble, structures: Sequence[Structure], role: str | None
) -> tuple[MeasuredCase, NDArray[np.float64] | None]:
    """Return the agreement and Dice of a validation case, and its features if there is a role for them."""
    dataset, features = plan.components.dataset, list[NDArray[np.float64] | None]()
    agreement = Agreement(structures, ensemble.members[0].predictor.strategy.coding)

    def receiver(volume: Volume) -> Receive:
        features.append(_features(ensemble, role, volume, case))
        return agreement.receive

    labels, grid = predicted(case, dataset, ensemble, receiver)
    dice = _dice(dataset.read_label(case).array, labels, case.id, grid, plan, structures)
    measured = MeasuredCase(case=case.id, patient=case.patient, agreement=agreement.values(), dice=dice)
    return measured, features[0]


def _features(ensemble: Ensemble, role: str | None, volume: Volume, case: Case) -> NDArray[np.float64] | None:
    return None if role is None else ensemble.members[0].features(role, volume, f"case {case.id}")


def _dice(
    reference: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    case: str,
    grid: Geometry,
    plan: Plan,
    structures: Sequence[Structure],
) -> dict[str, float | None]:
    """Return the Dice by structure, computed as for test cases; None if undefined."""
    info, metrics = plan.info, {"dice": create("metric", "dice")}
    regions = {s.name: [info.classes[index] for index in s.classes] for s in structures if s.kind == "region"}
    scores = score_case(
        reference, labels, grid, info.classes, metrics, case=case, regions=regions, has_ignored=info.has_ignored
    )
    found = {(score.class_name, score.kind): score.value for score in scores}
    values = {s.name: found[s.name, s.kind] for s in structures}
    return {name: None if math.isnan(value) else value for name, value in values.items()}
