"""Comparison of recipes: the keys that differ and can change a result."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.errors import Problem
from semiseg.recipe.component_slots import kind_at, plain, slots
from semiseg.recipe.components import find_components
from semiseg.recipe.dump import resolved
from semiseg.recipe.schema import Recipe
from semiseg.registry import Kind, current_name, first_name

HARMLESS = frozenset({"name", "training.workers", "training.checkpoint.minutes", "preprocessing.store"})
"""Keys that cannot change a result."""
FORMER: Mapping[str, Any] = {
    "training.batch_size.fill": "trainings",
    "strategy.pseudo_mean": "each_stream",
    "strategy.weak_view": "recipe",
}
"""What it means if a run's recipe lacks these keys, which are newer: it was trained as with these values, and not with
today's defaults. With these values, a recipe is the same, with the same hash."""
EPOCHS = "training.epochs"
"""May change in a resumed run, if it increases."""
OF_PREDICTIONS = frozenset({"inference.mirror", "inference.postprocess"})
"""Keys that only predictions of test cases depend on; they may change in a resumed run, and those of ``evaluation``."""


@dataclass(frozen=True, slots=True)
class Change:
    """A key with a different resolved value; None for a recipe without the key."""

    key: str
    old: Any
    new: Any

    def problem(self) -> Problem:
        """Return the change as a problem of a recipe that should be the same."""
        return Problem(self.key, f"was {self.old!r}, is {self.new!r}")


def changes(old: Recipe | Mapping[str, Any], new: Recipe | Mapping[str, Any]) -> list[Change]:
    """Return the keys that differ and can change a result, ordered as in ``old``, then ``new``.

    A mapping is a resolved recipe from ``read_yaml``, so that a recipe with components given as objects can be compared
    with its dumped form.
    """
    before, after = _leaves(old, current_name), _leaves(new, current_name)
    keys = dict.fromkeys([*before, *after])
    pairs = [(key, before.get(key, FORMER.get(key)), after.get(key, FORMER.get(key))) for key in keys]
    return [Change(*pair) for pair in pairs if _canonical(pair[1]) != _canonical(pair[2])]


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a resumed run does differently: false if nothing.

    Attributes:
        epochs: the previous number of epochs, if it trains for more.
        results: otherwise, changes of how test cases are predicted and scored.
    """

    epochs: int | None = None
    results: tuple[Change, ...] = ()

    @property
    def predicts(self) -> bool:
        """Whether test cases are predicted in another way, and not only scored."""
        return any(change.key in OF_PREDICTIONS for change in self.results)

    def __bool__(self) -> bool:
        return bool(self.epochs or self.results)


def continuation(changed: Sequence[Change]) -> Continuation | None:
    """Return how a run can continue with these changes of its recipe; None if it cannot.

    It can train for more epochs, or predict and score its test cases in another way.
    """
    if all(of_results(change.key) for change in changed):
        return Continuation(results=tuple(changed))
    old, new = changed[0].old, changed[0].new
    longer = len(changed) == 1 and changed[0].key == EPOCHS and isinstance(old, int) and isinstance(new, int)
    return Continuation(epochs=old) if longer and 0 < old < new else None


def of_results(key: str) -> bool:
    """Return whether nothing depends on a key but predictions of test cases and their scores."""
    return key in OF_PREDICTIONS or key.startswith("evaluation.")


def training_hash(recipe: Recipe | Mapping[str, Any]) -> str:
    """Return the ``recipe_hash`` without the keys that only predictions of test cases and their scores depend on."""
    return recipe_hash(recipe, [key for key in _leaves(recipe, first_name) if of_results(key)])


def recipe_hash(recipe: Recipe | Mapping[str, Any], free: Collection[str] = ()) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of all that can change a result; a mapping is a resolved recipe.

    ``free`` are keys to ignore. Components that were renamed have their first name, so that hashes stay the same.
    """
    leaves = {
        key: value
        for key, value in _leaves(recipe, first_name).items()
        if key not in free and (key, value) not in FORMER.items()
    }
    return hashlib.sha256(_canonical(leaves).encode()).hexdigest()


def data_paths(recipe: Recipe) -> list[str]:
    """Return the keys with the dataset's location, which may change if a finished run is moved to another machine."""
    found = find_components(list(slots(plain(recipe))), recipe.where)[0].get(("dataset",))
    options = found and (found.component.options if found.options is None else found.options)
    own = [f"dataset.{key}" for key in ("adopted", "pseudo_labels") if getattr(recipe.dataset, key)]
    return [*(f"dataset.{name}" for name, value in dict(options or ()).items() if isinstance(value, Path)), *own]


def _leaves(recipe: Recipe | Mapping[str, Any], named: Callable[[Kind, Any], Any]) -> dict[str, Any]:
    """Return values by dotted key, without the harmless ones; a list is one value, and so is an empty block.

    ``named`` returns the name to use for each component.
    """
    leaves: dict[str, Any] = {}

    def collect(value: Any, key: str) -> None:
        if isinstance(value, Mapping) and value:
            for name, below in value.items():
                collect(below, f"{key}.{name}" if key else str(name))
        elif key not in HARMLESS:
            leaves[key] = value

    collect(_renamed(resolved(recipe) if isinstance(recipe, Recipe) else recipe, named), "")
    return leaves


def _renamed(value: Any, named: Callable[[Kind, Any], Any], path: tuple[str, ...] = ()) -> Any:
    if isinstance(value, list):
        return [_renamed(below, named, (*path, str(number))) for number, below in enumerate(value)]
    kind = kind_at(path)
    if not isinstance(value, Mapping):
        return named(kind, value) if kind else value
    renamed = {key: _renamed(below, named, (*path, str(key))) for key, below in value.items()}
    return {**renamed, "name": named(kind, value["name"])} if kind and "name" in value else renamed


def _canonical(value: Any) -> str:
    return json.dumps(_number(value), sort_keys=True)


def _number(value: Any) -> Any:
    """Return the value with integral floats as integers: a field's default may be 1 where 1.0 is read."""
    if isinstance(value, dict):
        return {key: _number(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_number(below) for below in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
