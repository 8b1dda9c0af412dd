"""The choice of the classes that keep only their largest component, by a run's validation cases."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.engine.memory import PREDICTION_FIX, raising_on_oom
from semiseg.engine.runtime import Runtime
from semiseg.inference.components import NEIGHBORS, keep_largest
from semiseg.inference.image import Ensemble
from semiseg.interfaces.dataset import Dataset
from semiseg.pipeline.model import Model, load_weights
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.predictions import CHECKPOINTS, predicted, weights_digest
from semiseg.progress import Reporter
from semiseg.registry import create
from semiseg.runs.folder import RunFolder
from semiseg.runs.postprocessing import ClassDecision, Decision, decision_of_class, read_decision, write_decision
from semiseg.scoring.same_weights import shown
from semiseg.scoring.score_case import score_case
from semiseg.types import Case, Geometry


def decide_postprocessing(
    plan: Plan, model: Model, folder: RunFolder, same: bool, runtime: Runtime, reporter: Reporter
) -> None:
    """Decide for the last and the best weights, once if they are the ``same``, and record it, if the recipe says so."""
    if plan.recipe.inference.postprocess != "auto":
        return
    for checkpoint in shown(CHECKPOINTS, same):
        weights, names = weights_digest(folder, checkpoint), plan.info.classes[1:]
        ensemble = model.alone(runtime.device)
        axes = ensemble.members[0].predictor.mirrored_axes
        decision = read_decision(folder, checkpoint, weights, axes, names)
        runtime.barrier()  # every process has read the file before it changes
        if decision is None:
            load_weights(model, folder.weights(checkpoint))
            classes = decided(plan.split.validation, plan.components.dataset, ensemble, plan, runtime, reporter)
            decision = Decision(weights=weights, mirrored_axes=[*axes], neighbors=NEIGHBORS, classes=classes)
        if runtime.is_main:
            write_decision(folder, CHECKPOINTS if same else [checkpoint], decision)
            reporter.say(f"Postprocessing of predictions ({checkpoint}): {decision.sentence()}.")
        runtime.barrier()


def decided(
    cases: Sequence[Case], dataset: Dataset, ensemble: Ensemble, plan: Plan, runtime: Runtime, reporter: Reporter
) -> dict[str, ClassDecision]:
    """Return the decision for each foreground class, from predictions of validation cases; each process makes a share.

    Raises DataError for an unusable case.
    """
    found = []
    with reporter.work("predicting validation cases", len(cases), unit="case") as meter:
        for index, case in enumerate(cases):
            if index % runtime.world == runtime.rank:
                with raising_on_oom(runtime.device, PREDICTION_FIX):
                    labels, grid = predicted(case, dataset, ensemble)
                reference, before = dataset.read_label(case).array, labels.copy()
                keep_largest(labels, range(1, len(plan.info.classes)))
                one, two = (_dice(reference, each, case.id, grid, plan) for each in (before, labels))
                found.append((index, case.id, [*zip(one, two, strict=True)]))
            meter.advance()
    scores = sorted(score for part in runtime.gather(found) for score in part)
    return {
        name: decision_of_class({case: pairs[number] for _, case, pairs in scores})
        for number, name in enumerate(plan.info.classes[1:])
    }


def _dice(
    reference: NDArray[np.uint8], labels: NDArray[np.uint8], case: str, grid: Geometry, plan: Plan
) -> list[float]:
    """Return Dice by foreground class, computed as for test cases."""
    metrics, info = {"dice": create("metric", "dice")}, plan.info
    scores = score_case(reference, labels, grid, info.classes, metrics, case=case, has_ignored=info.has_ignored)
    return [score.value for score in scores]
