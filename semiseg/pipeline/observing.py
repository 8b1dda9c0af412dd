"""The observers of a run: found by name, told what happens, and left out if they fail."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from semiseg.errors import Problem, RecipeError, SemisegError, raise_all
from semiseg.interfaces.observer import ObservedRun, Observer
from semiseg.progress import Reporter
from semiseg.registry import create
from semiseg.runs.folder import RunFolder
from semiseg.scoring.metric_choice import parse_named
from semiseg.scoring.scores import Scores

Named = str | type[Observer] | Observer


class Observers:
    """The observers of a run, in its main process; in others there are none."""

    def __init__(self, observers: Mapping[str, Observer], reporter: Reporter) -> None:
        self._observers = dict(observers)
        self._reporter = reporter

    def begin(self, run: ObservedRun) -> None:
        """Tell all that a run begins."""
        self._each(lambda one: one.begin(run))

    def record(self, step: int, record: Mapping[str, Any]) -> None:
        """Tell all the record of an epoch's log."""
        values = dict(curves(record))
        self._each(lambda one: one.record(step, values))

    def end(self, scores: Scores, folder: RunFolder) -> None:
        """Tell all that a run has ended."""
        kept = (folder.recipe, folder.report, folder.preview, folder.scores)
        files = [path for path in kept if path.exists()]
        values = dict(_means(scores))
        self._each(lambda one: one.end(values, files))

    def fail(self, error: BaseException) -> None:
        """Tell all that a run ended by an error."""
        reason = str(error) or type(error).__name__
        self._each(lambda one: one.fail(reason))

    def _each(self, call: Callable[[Observer], None]) -> None:
        for name, one in list(self._observers.items()):
            try:
                call(one)
            except Exception as error:  # whatever it is, it must not cost anyone the run
                del self._observers[name]
                what = f"{type(error).__name__}: {error}" if not isinstance(error, SemisegError) else str(error)
                self._reporter.say(f"Note: the observer {name} failed and is left out from here on: {what}")


def find_observers(named: Sequence[Named], reporter: Reporter) -> Observers:
    """Return the observers of these names (``NAME`` or ``NAME:OPTION=VALUE,…``), classes or objects.

    Raises RecipeError with all problems: unknown names or options, a missing package, one that is named twice.
    """
    found: dict[str, Observer] = {}
    problems: list[Problem] = []
    for one in named:
        try:
            name, options = (
                parse_named(one, "observers", "mlflow:experiment=heart") if isinstance(one, str) else ("", {})
            )
            title = name or getattr(one, "__name__", type(one).__name__)
            if title in found:
                problems.append(Problem("observers", f"{title} is named twice"))
            found[title] = create("observer", name or one, options)
        except SemisegError as error:
            problems += error.problems
    raise_all(problems, RecipeError)
    return Observers(found, reporter)


def curves(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the values of an epoch's record by name, those that are finite."""
    values = {f"train/{name}": value for name, value in record["train"].items()} | {"lr": record["lr"]}
    validation = record.get("validation") or {}
    if validation:
        values["validation/loss"] = validation["loss"]
        values |= {f"validation/dice/{name}": value for name, value in validation["dice"].items()}
        for role, dice in validation.get("networks", {}).items():
            values |= {f"validation/dice/{name}/{role}": value for name, value in dice.items()}
    yield from ((name, float(value)) for name, value in values.items() if value is not None and math.isfinite(value))


def _means(scores: Scores) -> Iterator[tuple[str, float]]:
    for checkpoint in dict.fromkeys(score.checkpoint for score in scores):
        rows = Scores(score for score in scores if score.checkpoint == checkpoint)
        for metric in dict.fromkeys(score.metric for score in rows):
            for name, value in rows.values(metric).items():
                if math.isfinite(value):
                    yield f"test/{checkpoint}/{metric}/{name}", value
