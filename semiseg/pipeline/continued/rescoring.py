"""Predicting and scoring the test cases of an existing run in another way, with the weights that it has."""

from pathlib import Path
from typing import Any

from semiseg.io.atomic import write_text
from semiseg.io.json import read_json
from semiseg.pipeline.continued.results_aside import keep_results, results_of, scores_of
from semiseg.pipeline.plan import Plan
from semiseg.progress import Reporter
from semiseg.recipe.diff import Continuation
from semiseg.recipe.dump import dump_recipe
from semiseg.runs.environment import records, write_down
from semiseg.runs.folder import LASTING, RESCORED, RunFolder


def take_other_results(plan: Plan, folder: RunFolder, continued: Continuation, reporter: Reporter) -> None:
    """Change a run folder to the plan's predictions and scores; the results that it has move into a subfolder.

    The recipe is written last: after a kill before that, the same command repeats the change. Predictions stay where
    only scores change.
    """
    changed = {change.key: [change.old, change.new] for change in continued.results}
    aside, kept = _aside(folder, changed), ""
    if keep_results(folder, aside, results_of(folder) if continued.predicts else scores_of(folder)):
        again = "predicted and scored" if continued.predicts else "scored"
        kept = f" Test cases are {again} again; the results of before are kept in {aside.name}/."
    model = read_json(folder.model)
    record = {"changes": changed, "kept": aside.name, LASTING: model.get(LASTING, "")}
    write_down(folder.environment, RESCORED, record, ["changes"])
    folder.write_model(plan.written, model)
    write_text(folder.recipe, dump_recipe(plan.written))
    told = ", ".join(f"{change.key} {_value(change.new)} (was {_value(change.old)})" for change in continued.results)
    reporter.say(f"Note: the training is kept, with new settings for test cases: {told}.{kept}")


def _value(value: Any) -> str:
    return "the default" if value is None else str(value)


def _aside(folder: RunFolder, changed: dict[str, Any]) -> Path:
    """Return the subfolder for the results of before: that of the last change if this is the same, which was killed."""
    known = records(folder.environment, RESCORED)
    if known and known[-1].get("changes") == changed:
        return folder.path / str(known[-1]["kept"])
    taken = {path.name for path in folder.path.glob("results-*")}
    return next(folder.path / name for name in map("results-{}".format, range(1, len(taken) + 2)) if name not in taken)
