"""A run: from a recipe to weights, predictions and scores in one folder."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from semiseg.engine.runtime import Runtime
from semiseg.interfaces.observer import ObservedRun
from semiseg.io.atomic import make_folder
from semiseg.io.json import read_json
from semiseg.io.lock import locked
from semiseg.pipeline.continued.extension import extend, require_one_stage
from semiseg.pipeline.continued.rescoring import take_other_results
from semiseg.pipeline.initial_weights.kept import from_folder, keep
from semiseg.pipeline.model import Model, new_model
from semiseg.pipeline.observing import Named, Observers, find_observers
from semiseg.pipeline.plan import Plan, make_plan
from semiseg.pipeline.postprocessing import decide_postprocessing
from semiseg.pipeline.predictions import best_is_last, predict_test_cases
from semiseg.pipeline.quality.calibrating import calibrate
from semiseg.pipeline.samples.external_pseudo import require_same_files
from semiseg.pipeline.score import score_predictions, show_scores
from semiseg.pipeline.step_mode import require_machine
from semiseg.pipeline.train import fill_store, train
from semiseg.preprocessing.spacing import training_spacing
from semiseg.progress import Reporter
from semiseg.recipe.diff import Continuation
from semiseg.recipe.dump import resolved
from semiseg.recipe.load import load_recipe
from semiseg.recipe.schema import Recipe
from semiseg.runs.belonging import require_same_model
from semiseg.runs.checkpoint import file_digest, mend_weights
from semiseg.runs.environment import note_resumption
from semiseg.runs.folder import RunFolder
from semiseg.scoring.scores import Scores
from semiseg.scoring.show import summary_table
from semiseg.scoring.summary_form import RunSummary
from semiseg.scoring.table import read_scores
from semiseg.signals import interruptible
from semiseg.tabular import as_html


@dataclass(frozen=True)
class RunResult:
    """Results of a run: its folder, the scores of every test case, and their summary (as in summary.json)."""

    folder: Path
    scores: Scores
    summary: Mapping[str, Any] = field(repr=False)

    def to_dataframe(self) -> Any:
        """Return the scores as a pandas.DataFrame, a row each. Raises ComponentError without pandas."""
        return self.scores.to_dataframe()

    def _repr_html_(self) -> str:
        """Return the summary of the scores as a table for a notebook."""
        return as_html([summary_table(self.summary["scores"], self.summary.get("best_is_last", False))])


def run(
    recipe: Recipe | Mapping[str, Any] | str | Path,
    output: str | Path,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    reporter: Reporter | None = None,
    observers: Sequence[Named] = (),
    tensorboard: bool = False,
) -> RunResult:
    """Train, predict the test cases with the last and the best weights, and score them (once, if they are the same).

    Args:
        recipe: a recipe, a mapping with its content, the path of its file, or the name of a shipped one.
        output: the run folder; new or empty, unless ``resume``.
        overrides: changes such as ``"training.epochs=10"``.
        resume: continue an earlier run in ``output``, or start if there is none. If the only change is a larger
            ``training.epochs``, the run continues to it, finished or not. If only ``inference.mirror``,
            ``inference.postprocess`` and ``evaluation`` change, its test cases are predicted and scored again. Earlier
            scores are kept in a subfolder.
        reporter: receives progress; silent by default.
        observers: follow the run, in trackers of experiments: installed ones, each as ``NAME`` or
            ``NAME:OPTION=VALUE,…``, classes or objects. One that fails is left out; the run goes on.
        tensorboard: the same as the observer ``tensorboard``, which writes curves to ``output/tensorboard`` (extra
            ``tensorboard``).

    Raises:
        SemisegError: with a message for the user; see ``semiseg.errors`` for its kinds. ``Interrupted`` after Ctrl-C.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    elif overrides:
        raise TypeError("overrides cannot be applied to a Recipe: give a path, a name or a mapping")
    options = recipe.training
    runtime = Runtime(options.device, options.precision, options.deterministic)
    reporter = reporter if reporter is not None and runtime.is_main else Reporter()
    folder = RunFolder(Path(output))
    named = (*observers, *(["tensorboard"] if tensorboard else []))
    following = find_observers(named if runtime.is_main else (), reporter)
    if runtime.is_main:
        make_folder(folder.path)
    with interruptible(folder.path), locked(folder.path) if runtime.is_main else nullcontext():
        continued = folder.prepare(recipe, resume)
        runtime.barrier()  # every process has read the folder before it changes
        if runtime.is_main and (mended := folder.mend_recipe(recipe)):
            reporter.say(f"Note: {mended}.")
        begun = folder if folder.recipe.exists() else None
        plan = make_plan(recipe, begun=begun, reporter=reporter)
        if folder.recipe.exists() and (continued or not folder.is_finished):
            folder.require_split(plan.split.as_dict())
        require_machine(plan, runtime)
        if fold := plan.split.fold:
            reporter.say(f"{fold.describe(len(plan.split.labeled), len(plan.split.validation))}.")
        for line in plan.described():
            reporter.say(f"{line}.")
        for note in (*plan.notes, *runtime.notes):
            reporter.say(f"Note: {note}.")
        if plan.initial.starts:
            plan = _with_initial_weights(plan, folder, runtime)
        return _run(plan, folder, runtime, reporter, following, continued)


def _with_initial_weights(plan: Plan, folder: RunFolder, runtime: Runtime) -> Plan:
    """Copy the initial weights into the run folder, and return the plan with roles that start from the copy."""
    if runtime.is_main:
        keep(plan.initial, folder)
    runtime.barrier()
    return replace(plan, components=from_folder(plan.components, folder))


def _run(
    plan: Plan, folder: RunFolder, runtime: Runtime, reporter: Reporter, observers: Observers, continued: Continuation
) -> RunResult:
    has_ended = folder.is_finished and not continued
    model = new_model(plan, runtime, is_trained=not has_ended)
    finished = has_ended and _is_whole(plan, folder, model, reporter)
    if has_ended and not finished:
        model = new_model(plan, runtime)
    plan = plan.with_draws(model.strategy)
    if continued.epochs:
        require_one_stage(plan, model.strategy.stages(), continued.epochs)
    if not finished:
        with runtime.main_first():
            store = fill_store(plan, reporter)
        grids = [store.image(case.id).preparation.geometry for case in (*plan.split.labeled, *plan.split.unlabeled)]
        model = replace(model, spacing=training_spacing(grids))
        resumed = folder.recipe.exists()
        if runtime.is_main:  # after reading the data: if these have problems, the recipe may still be changed
            _begin(plan, folder, model, store.pseudo_digests(), reporter)
            if continued.epochs:
                extend(plan, folder, continued.epochs, reporter)
            elif continued:
                take_other_results(plan, folder, continued, reporter)
        runtime.barrier()
        observers.begin(ObservedRun(plan.recipe.name, folder.path, resolved(plan.recipe), resumed))
        try:
            train(plan, model, store, folder, runtime, reporter, observers.record)
            same = best_is_last(folder, runtime)
            decide_postprocessing(plan, model, folder, same, runtime, reporter)
            calibrate(plan, model, folder, same, runtime, reporter)
            predict_test_cases(plan, model, folder, same, runtime, reporter)
            if runtime.is_main:
                score_predictions(plan, folder, same, reporter)
        except BaseException as error:
            observers.fail(error)
            raise
        runtime.barrier()
    summary, scores = _summary(folder), Scores(read_scores(folder.scores))
    if not finished:
        observers.end(scores, folder)
    if finished and runtime.is_main:
        for note in mend_weights(folder.checkpoints, summary["weights"]):
            reporter.say(f"Note: {note}.")
        if not (folder.report.exists() and folder.preview.exists()):
            show_scores(plan, folder, scores, summary, reporter)  # lost since then, or not written at the time
    return RunResult(folder.path, scores, summary)


def _summary(folder: RunFolder) -> dict[str, Any]:
    again = f"Delete it and run the same command with --resume to recreate it from {folder.predictions.name}/."
    return read_json(folder.summary, RunSummary, again)


def _is_whole(plan: Plan, folder: RunFolder, model: Model, reporter: Reporter) -> bool:
    """Return whether a finished run still has its model.json and final score table; if not, they are rebuilt.

    Raises RunError if model.json was edited, or if a rebuild would be of other cases than the run's.
    """
    record = {key: value for key, value in model.record().items() if key != "spacing"}  # unknown before reading data
    table = _summary(folder).get("table")
    same_table = table is None or file_digest(folder.scores) == table
    if same_table and require_same_model(folder.model, record):
        return True
    folder.require_split(plan.split.as_dict())
    if not same_table:
        reporter.say(f"Note: {folder.scores} has changed since the run ended; it is recreated from the predictions.")
    return False


def _begin(
    plan: Plan, folder: RunFolder, model: Model, pseudo_digests: Mapping[str, Sequence[str]], reporter: Reporter
) -> None:
    begins = not folder.recipe.exists()
    if note := require_same_files(folder, plan.pseudo, pseudo_digests, begins):
        reporter.say(f"Note: {note}.")
    if begins:
        folder.write_start(plan.written, plan.split.as_dict(), model.record(), plan.described())
        return
    if not require_same_model(folder.model, model.record()):
        folder.write_model(plan.written, model.record())
        reporter.say(f"Note: {folder.model} was missing or damaged and has been rewritten.")
    if changed := note_resumption(folder.environment):
        reporter.say(f"Note: changed since the run began: {changed}. Results may differ in the last digits.")
