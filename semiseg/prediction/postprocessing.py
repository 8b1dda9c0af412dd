"""The choice of the classes that keep only their largest component, for predictions of new images."""

from collections.abc import Sequence

from semiseg.errors import Problem, RunError, SemisegError, StorageError
from semiseg.inference.components import NEIGHBORS
from semiseg.inference.image import Ensemble, Limit
from semiseg.io.lock import locked
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.postprocessing import decided
from semiseg.prediction.ensemble import LoadedRun, weights_of
from semiseg.prediction.own_plan import own_plan
from semiseg.progress import Reporter
from semiseg.runs.postprocessing import Decision, Mode, largest_classes, pooled, read_decision, write_decision

MODES: tuple[Mode, ...] = ("none", "largest_component", "auto")
_INSTEAD = "Use --postprocess none or largest_component, or make the run's data available."


def mode_of(runs: Sequence[LoadedRun], asked: str | None) -> Mode:
    """Return how predictions are postprocessed: as asked, or as the runs' recipes say.

    Raises RunError if there is no such way, or if the recipes differ.
    """
    if asked is not None:
        found = next((mode for mode in MODES if mode == asked), None)
        if found is None:
            raise RunError(f"There is no postprocessing {asked!r}.", f"Choose one of {', '.join(MODES)}.")
        return found
    modes = {run.model.recipe.inference.postprocess for run in runs}
    if len(modes) > 1:
        said = ", ".join(f"{run.name}: {run.model.recipe.inference.postprocess}" for run in runs)
        raise RunError(f"The runs differ in inference.postprocess ({said}).", "Choose one with --postprocess.")
    return modes.pop()


def largest_for(
    runs: Sequence[LoadedRun], mode: Mode, checkpoint: str, limit: Limit, reporter: Reporter
) -> tuple[int, ...]:
    """Return the indices of the classes that keep only their largest component.

    For ``auto`` it reports the decision. It is read from the run folders, or made with the run's validation cases and
    recorded there; several runs decide by all their validation cases. Raises RunError if these cannot be read.
    """
    classes = runs[0].model.task.classes
    if mode != "auto":
        return largest_classes(mode, classes, None)
    decisions = [(run.name, _decision(run, checkpoint, limit, reporter)) for run in runs]
    decision = decisions[0][1] if len(runs) == 1 else pooled(decisions, weights_of(runs))
    reporter.say(f"Postprocessing: {decision.sentence()}.")
    return largest_classes(mode, classes, decision)


def _decision(run: LoadedRun, checkpoint: str, limit: Limit, reporter: Reporter) -> Decision:
    model, folder, member = run.model, run.kept.folder, run.member()
    axes = member.predictor.mirrored_axes
    found = read_decision(folder, checkpoint, run.weights, axes, model.task.classes[1:])
    if found is not None:
        return found
    plan = _plan(run)
    cases, dataset = plan.split.validation, plan.components.dataset
    try:
        ensemble = Ensemble([member], model.task.out_channels, limit)
        classes = decided(cases, dataset, ensemble, plan, run.runtime, reporter)
    except SemisegError as error:
        raise _unreadable(run, error) from error
    decision = Decision(weights=run.weights, mirrored_axes=[*axes], neighbors=NEIGHBORS, classes=classes)
    try:
        with locked(folder.path):
            write_decision(folder, [checkpoint], decision)
    except StorageError as error:
        reporter.say(f"Note: the decision on postprocessing is not kept, and is made again next time: {error}")
    return decision


def _plan(run: LoadedRun) -> Plan:
    """Return the run's plan, with its validation cases."""
    try:
        plan = own_plan(run)
    except SemisegError as error:
        raise _unreadable(run, error) from error
    if not plan.split.validation:
        raise RunError(Problem(run.name, "it has no validation cases to decide on postprocessing", _INSTEAD))
    return plan


def _unreadable(run: LoadedRun, error: SemisegError) -> RunError:
    what = "there is no decision on postprocessing for these weights, and its validation cases cannot be used"
    first = Problem(run.name, what, _INSTEAD)
    return RunError([first, *error.problems])
