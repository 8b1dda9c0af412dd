"""The table of a cross-validation: Dice on the validation cases, fold by fold every labeled case."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from semiseg.comparison.read import ScoredRun
from semiseg.render import cells
from semiseg.render.document import Cell, Table
from semiseg.study_report.results import StudyArm, StudyResults

_DIGITS = 3

Record = Mapping[str, Any]


def cross_validation_table(results: StudyResults) -> Table | None:
    """Return one row per arm with folds, from the logs of its runs; None if no arm has folds and logs."""
    arms = [(arm, found) for arm in results.arms if arm.folds and (found := _validated(arm))]
    if not arms:
        return None
    classes = list(dict.fromkeys(name for _, found in arms for last, _ in found for name in last["dice"]))
    settings = ("setting",) if any(results.settings) else ()
    classes_shown = classes if len(classes) > 1 else []
    columns = (
        *(*settings, "method", "labeled", "cases in all", "models", "last: mean ± sd", "best: mean ± sd"),
        *(f"last: {name}" for name in classes_shown),
    )
    rows = tuple((*([Cell(arm.setting)] if settings else []), *_row(arm, found, classes_shown)) for arm, found in arms)
    return Table(
        key="cross_validation",
        title="Dice on the validation cases of all folds",
        columns=columns,
        rows=rows,
        notes=tuple(_notes(results, [run for arm, _ in arms for run in arm.runs])),
        text_columns=columns.index("labeled"),
    )


def _validated(arm: StudyArm) -> list[tuple[Record, Record]]:
    """Return the validation of each run's last and best weights; runs without one are left out."""
    found = []
    for log in arm.logs:
        records = [record["validation"] for record in log if "validation" in record]
        if records:
            losses = [record["loss"] for record in records]
            known = [math.inf if loss is None or math.isnan(loss) else loss for loss in losses]
            found.append((records[-1], records[known.index(min(known))]))
    return found


def _row(arm: StudyArm, found: Sequence[tuple[Record, Record]], classes: Sequence[str]) -> Iterator[Cell]:
    yield Cell(arm.method)
    yield from (cells.count(number) for number in (arm.labeled, arm.total, len(found)))
    yield _mean_and_sd("last", [last["mean_dice"] for last, _ in found])
    yield _mean_and_sd("best", [best["mean_dice"] for _, best in found])
    for name in classes:
        yield _mean_and_sd(f"last {name}", [last["dice"].get(name) for last, _ in found])


def _mean_and_sd(name: str, values: Sequence[float | None]) -> Cell:
    known = np.array([value for value in values if value is not None and math.isfinite(value)])
    if not len(known):
        return Cell(cells.NONE, parts=((name, None), (f"{name} sd", None)))
    mean, sd = float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else None
    text = cells.number_text(mean, _DIGITS) + ("" if sd is None else f" ± {sd:.{_DIGITS}f}")
    return Cell(text, value=mean, parts=((name, mean), (f"{name} sd", sd)))


def _notes(results: StudyResults, runs: Sequence[ScoredRun]) -> Iterator[str]:
    yield (
        f"Each model is validated on its own fold (folds {', '.join(map(str, results.folds))}), on which it was not "
        "trained. Mean: over the cases of a fold by class, then over classes, then over models, all weighted alike; "
        "sd: of the models' values (n - 1). Folds share labeled cases, so that no interval or test is derived from it."
    )
    yield (
        "best: weights with the lowest loss on the same validation cases, so that its Dice is too high; last: weights "
        "that were not selected."
    )
    if any(_is_by_patch(run) for run in runs):
        yield "Validation was of the center patch of each case only (training.validation.mode: patch)."


def _is_by_patch(run: ScoredRun) -> bool:
    training = run.recipe.get("training")
    validation = training.get("validation") if isinstance(training, Mapping) else None
    return isinstance(validation, Mapping) and validation.get("mode") == "patch"
