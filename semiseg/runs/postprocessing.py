"""Classes that keep only their largest component: the decision by validation cases, in postprocessing.json."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, RootModel

from semiseg.errors import RunError
from semiseg.io.atomic import write_json
from semiseg.io.json import read_json
from semiseg.runs.folder import RunFolder

Mode = Literal["none", "largest_component", "auto"]
_AGAIN = "Delete it: the decision is then made again."


class ClassDecision(BaseModel):
    """A class's mean Dice on validation cases, as predicted and with only its largest component, and by case."""

    applied: bool
    before: float | None
    after: float | None
    cases: dict[str, tuple[float, float]]


class Decision(BaseModel):
    """The decision for some weights, predicting with or without mirroring."""

    weights: str
    mirrored_axes: list[int]
    neighbors: int
    classes: dict[str, ClassDecision]

    @property
    def applied(self) -> list[str]:
        """The names of the classes that keep only their largest component."""
        return [name for name, decision in self.classes.items() if decision.applied]

    def sentence(self) -> str:
        """Return the decision with its figures."""
        parts = [
            f"{name} {'yes' if one.applied else 'no'} ({_number(one.before)} -> {_number(one.after)})"
            for name, one in self.classes.items()
        ]
        n_cases = len({case for one in self.classes.values() for case in one.cases})
        figures = f"mean Dice of {n_cases} validation case{'' if n_cases == 1 else 's'} as predicted and with it"
        return f"only the largest component of a class ({figures}): {', '.join(parts)}"


class _File(RootModel[dict[str, Decision]]):
    """The file: a decision by checkpoint."""


def decision_of_class(cases: Mapping[str, tuple[float, float]]) -> ClassDecision:
    """Return the decision for a class: applied if it raises the mean Dice, as in nnU-Net.

    The source is nnU-Net's ``remove_connected_components.py``; there, also all foreground together is tried.

    Args:
        cases: Dice before and after, by case; pairs with nan (the class is in neither label) do not count.
    """
    known = {case: pair for case, pair in cases.items() if not any(map(math.isnan, pair))}
    if not known:
        return ClassDecision(applied=False, before=None, after=None, cases={})
    before, after = (math.fsum(pair[i] for pair in known.values()) / len(known) for i in (0, 1))
    return ClassDecision(applied=after > before, before=before, after=after, cases=known)


def pooled(decisions: Sequence[tuple[str, Decision]], weights: str) -> Decision:
    """Return the decision for an ensemble: by the validation cases of all runs, each predicted by its own run.

    ``decisions`` come with the names of their runs; ``weights`` is the ensemble's digest.
    """
    first = decisions[0][1]
    cases: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in first.classes}
    for run, decision in decisions:
        for name, one in decision.classes.items():
            cases[name] |= {f"{run}: {case}": pair for case, pair in one.cases.items()}
    classes = {name: decision_of_class(pairs) for name, pairs in cases.items()}
    return Decision(weights=weights, mirrored_axes=[], neighbors=first.neighbors, classes=classes)


def read_decision(
    folder: RunFolder, checkpoint: str, weights: str, mirrored_axes: Sequence[int], classes: Iterable[str]
) -> Decision | None:
    """Return the decision for these weights of these classes; None if there is none. Raises RunError if damaged."""
    found = _read(folder).get(checkpoint)
    wanted = weights, [*mirrored_axes], [*classes]
    if found is None or (found.weights, found.mirrored_axes, [*found.classes]) != wanted:
        return None
    return found


def decision_of(folder: RunFolder, checkpoint: str) -> Decision | None:
    """Return the decision recorded for a checkpoint, or None. Raises RunError if damaged."""
    return _read(folder).get(checkpoint)


def write_decision(folder: RunFolder, checkpoints: Iterable[str], decision: Decision) -> None:
    """Record a decision for some checkpoints; others stay."""
    known = _read(folder) | dict.fromkeys(checkpoints, decision)
    write_json(folder.postprocessing, {name: one.model_dump(mode="json") for name, one in known.items()})


def largest_classes(mode: Mode, classes: Sequence[str], decision: Decision | None) -> tuple[int, ...]:
    """Return the indices of the classes, background first, of which only the largest component is kept."""
    if mode == "none":
        return ()
    if mode == "largest_component":
        return tuple(range(1, len(classes)))
    if decision is None:
        raise RunError("There is no decision on postprocessing for these weights.", _AGAIN)
    return tuple(classes.index(name) for name in decision.applied)


def _read(folder: RunFolder) -> dict[str, Decision]:
    if not folder.postprocessing.exists():
        return {}
    value = read_json(folder.postprocessing, _File, _AGAIN)
    return _File.model_validate(value).root


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
