"""Training an existing run for more epochs: refusals, results moved aside, and the record of the change."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from semiseg.engine.optim import learning_rate
from semiseg.errors import Problem, RunError
from semiseg.interfaces.strategy import Stage
from semiseg.io.atomic import link_or_copy, write_json, write_text
from semiseg.io.json import read_json
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.samples.step_sizes import n_steps
from semiseg.progress import Reporter
from semiseg.recipe.dump import dump_recipe
from semiseg.runs.checkpoint import Checkpoints, checksum_file
from semiseg.runs.folder import RunFolder


def require_one_stage(plan: Plan, stages: Sequence[Stage], epochs_before: int) -> None:
    """Raise RunError if the strategy trains in stages: their ends would move into steps already done."""
    if len(stages) > 1:
        names = ", ".join(stage.name for stage in stages)
        what = (
            f"was {epochs_before}, is {plan.recipe.training.epochs}, but strategy {plan.recipe.strategy.name} trains in"
            f" stages ({names}), whose ends would move into steps already done"
        )
        raise RunError(Problem("training.epochs", what, "Undo the change, or choose another --output."))


def extend(plan: Plan, folder: RunFolder, epochs_before: int, reporter: Reporter) -> None:
    """Change a run folder to the plan's number of epochs and report what that means.

    The recipe is written last: after a kill before that, the same command repeats the change or writes the recipe that
    model.json names.
    """
    steps = Checkpoints(folder.checkpoints, reporter.say).steps()
    done = int(steps[-1].stem.partition("-")[2]) if steps else 0
    meaning = _meaning(plan, epochs_before, done)
    aside = folder.path / f"until-epoch-{epochs_before}"
    kept = ""
    if aside.exists() or any(path.exists() for path in _results(folder)):
        _keep_results(folder, aside)
        kept = f" Predictions and scores after {epochs_before} epochs are kept in {aside.name}/."
    _write_down(folder, {"epochs": [epochs_before, plan.recipe.training.epochs], "step": done, "meaning": meaning})
    folder.write_model(plan.written, read_json(folder.model))
    write_text(folder.recipe, dump_recipe(plan.written))
    reporter.say(f"Note: {meaning}{kept}")


def _meaning(plan: Plan, epochs_before: int, done: int) -> str:
    """Return a description of the effect on the learning-rate schedule."""
    training = plan.recipe.training
    schedule, base, total = training.schedule, training.optimizer.lr, n_steps(training)
    before = total // training.epochs * epochs_before
    text = f"The run continues to {training.epochs} epochs instead of {epochs_before}."
    if not done:
        return text
    epoch_length = total // training.epochs
    was = learning_rate(schedule, base, done - 1, before, epoch_length)
    now = learning_rate(schedule, base, done, total, epoch_length)
    text += (
        f" After step {done} the learning rate ({schedule.name}) continues at {now:.3g}, its value in the schedule over"
        f" {training.epochs} epochs; it was {was:.3g}."
    )
    return f"{text} Everything that the strategy ties to a fraction of the training follows the new length too."


def _keep_results(folder: RunFolder, aside: Path) -> None:
    """Move results of the weights into a folder that is itself a run; files moved before a kill are already there."""
    (aside / folder.checkpoints.name).mkdir(parents=True, exist_ok=True)
    if not (aside / folder.recipe.name).exists():
        for weights in (folder.weights("last"), folder.weights("best")):
            _link(weights, aside / folder.checkpoints.name)
            _link(checksum_file(weights), aside / folder.checkpoints.name)
        made_with = folder.initial_report, folder.pseudo_label_files
        _copy((folder.model, folder.split, folder.environment, folder.log, *made_with, folder.recipe), aside)
    for path in filter(Path.exists, _results(folder)):
        path.replace(aside / path.name)


def _results(folder: RunFolder) -> tuple[Path, ...]:
    return folder.summary, folder.scores, folder.report, folder.preview, folder.predictions, folder.postprocessing


def _copy(paths: Iterable[Path], into: Path) -> None:
    """Copy files in this order, each atomically."""
    for path in paths:
        if path.exists():
            write_text(into / path.name, path.read_text(encoding="utf-8", errors="replace"))


def _link(path: Path, into: Path) -> None:
    """Hard-link a file; training replaces files and never changes them in place."""
    target = into / path.name
    if path.exists() and not target.exists():
        link_or_copy(path, target)


def _write_down(folder: RunFolder, record: dict[str, object]) -> None:
    """Add a record to environment.json, once."""
    try:
        first = read_json(folder.environment)
    except RunError:
        first = {}  # only informative; the run continues without it
    known = first.get("extended", [])
    # The description is not compared: another version may have worded it differently.
    if not (known and all(known[-1].get(key) == record[key] for key in ("epochs", "step"))):
        time = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(folder.environment, {**first, "extended": [*known, {"time": time, **record}]})
