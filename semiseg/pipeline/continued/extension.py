"""Training an existing run for more epochs: refusals, results moved aside, and the record of the change."""

from collections.abc import Sequence

from semiseg.engine.optim import learning_rate
from semiseg.errors import Problem, RunError
from semiseg.interfaces.strategy import Stage
from semiseg.io.atomic import write_text
from semiseg.io.json import read_json
from semiseg.pipeline.continued.results_aside import keep_results, results_of
from semiseg.pipeline.plan import Plan
from semiseg.pipeline.samples.step_sizes import n_steps
from semiseg.progress import Reporter
from semiseg.recipe.dump import dump_recipe
from semiseg.runs.checkpoint import Checkpoints
from semiseg.runs.environment import write_down
from semiseg.runs.folder import EXTENDED, RunFolder


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
    if keep_results(folder, aside, results_of(folder)):
        kept = f" Predictions and scores after {epochs_before} epochs are kept in {aside.name}/."
    record = {"epochs": [epochs_before, plan.recipe.training.epochs], "step": done, "meaning": meaning}
    write_down(
        folder.environment, EXTENDED, record, ["epochs", "step"]
    )  # another version may word the meaning differently
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
