"""The recipe of the next round: the same cases for validation and test, more labels, and the last weights."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.data.split import Split
from semiseg.errors import Problem, RecipeError, RunError
from semiseg.messages import counted, some
from semiseg.recipe.dump import to_yaml
from semiseg.recipe.schema import Recipe
from semiseg.runs.folder import RunFolder
from semiseg.suggestion.record import Suggestion

_ROUND = re.compile(r"_round_\d+$")


def require_same_split(recipe: Recipe, split: Split, run: Path) -> None:
    """Raise RunError unless a recipe has the validation and test cases of a run.

    The weights of the run were chosen on its validation cases, and may have been trained on anything but its test
    cases.
    """
    if recipe.split.folds is not None:
        what = "the recipe is one fold of a cross-validation, whose labeled cases are divided anew if there are more"
        raise RecipeError(what.capitalize() + ".", "Give a recipe with split.validation instead of split.folds.")
    before = RunFolder(run).read_split()
    for role in ("validation", "test"):
        old, new = {case["id"] for case in before[role]}, {case.id for case in split.cases(role)}
        if old != new:
            what = f"the recipe has other {role} cases than this run: {some(sorted(old ^ new), 5)}"
            fix = f"Give the run's own recipe, {run / 'recipe.yaml'}, or the same --set as in the run."
            raise RunError(Problem(str(run), what, fix))


def next_data(
    data: Mapping[str, Any], recipe: Recipe, split: Split, adopted: Sequence[str], folder: Path, found: Suggestion
) -> dict[str, Any]:
    """Return the next recipe as plain data.

    Args:
        data: the recipe as written, with its variables.
        recipe: the same, loaded.
        split: its split.
        adopted: ids of the cases that have a label now.
        folder: of the adopted labels.
        found: the suggestion, whose first run the weights are from.
    """
    block = data["dataset"] if isinstance(data["dataset"], dict) else {"name": data["dataset"]}
    dataset = {**block, "adopted": [*map(str, recipe.dataset.adopted), str(folder)]}
    run, checkpoint = found.request["runs"][0]["run"], found.request["checkpoint"]
    weights: Any = run if checkpoint == "best" else {"path": run, "checkpoint": checkpoint}
    ids = {role: [case.id for case in split.cases(role)] for role in ("labeled", "unlabeled", "validation", "test")}
    labeled = sorted({*ids["labeled"], *adopted})
    lists: dict[str, Any] = {"test": ids["test"], "validation": ids["validation"], "labeled": labeled}
    if recipe.split.total != "all":
        lists["total"] = sorted({*labeled, *ids["unlabeled"]})
    return {
        **data,
        "name": f"{_ROUND.sub('', recipe.name)}_round_{len(recipe.dataset.adopted) + 2}",
        "dataset": dataset,
        "split": {**data["split"], **lists},
        "training": {**(data.get("training") or {}), "initial_weights": weights},
    }


def recipe_text(data: Mapping[str, Any], output: Path, title: str, adopted: Sequence[str]) -> str:
    """Return the file of the next recipe, with a header as shipped recipes have."""
    head = [
        f"# {data['name']}: {title} with {counted(len(adopted), 'more label')}.",
        "#",
        f"# Purpose   the next round of annotation, from the weights of the round before; added: {some(adopted, 8)}",
        "# Data      that of the round before, with the labels in dataset.adopted, whose rounds.json is the history",
        f"# Command   semiseg run {output}",
    ]
    return "\n".join([*head, to_yaml(data)])
