"""Whether two recipes come to the same result."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.errors import Problem
from semiseg.recipe.blocks import plain, slots
from semiseg.recipe.components import find_components
from semiseg.recipe.dump import resolved
from semiseg.recipe.schema import Recipe

HARMLESS = frozenset({"name", "training.workers", "training.checkpoint.minutes", "preprocessing.store"})
"""Keys that cannot change a result."""
EPOCHS = "training.epochs"
"""The one key that a run may go on with where it is more."""


@dataclass(frozen=True, slots=True)
class Change:
    """A key whose resolved value is another; None where a recipe has no such key."""

    key: str
    old: Any
    new: Any

    def problem(self) -> Problem:
        """The change as what is wrong with a recipe that should be the same."""
        return Problem(self.key, f"was {self.old!r}, is {self.new!r}")


def changes(old: Recipe | Mapping[str, Any], new: Recipe | Mapping[str, Any]) -> list[Change]:
    """The keys that differ and can change a result, ordered as in ``old``, then ``new``.

    A mapping is a resolved recipe as ``read_yaml`` gives it back: so recipes whose components were given as objects
    can be compared with what was written of them.
    """
    before, after = _leaves(old), _leaves(new)
    keys = dict.fromkeys([*before, *after])
    pairs = [(key, before.get(key), after.get(key)) for key in keys]
    return [Change(*pair) for pair in pairs if _canonical(pair[1]) != _canonical(pair[2])]


def epochs_before(changed: Sequence[Change]) -> int | None:
    """The epochs that there were, where all that has changed is that there are more; else None."""
    if len(changed) != 1 or changed[0].key != EPOCHS:
        return None
    old, new = changed[0].old, changed[0].new
    return old if isinstance(old, int) and isinstance(new, int) and 0 < old < new else None


def recipe_hash(recipe: Recipe | Mapping[str, Any], free: Collection[str] = ()) -> str:
    """SHA-256 (64 hexadecimal digits) of all that can change a result; a mapping is a resolved recipe.

    ``free`` are keys that do not count.
    """
    leaves = {key: value for key, value in _leaves(recipe).items() if key not in free}
    return hashlib.sha256(_canonical(leaves).encode()).hexdigest()


def data_paths(recipe: Recipe) -> list[str]:
    """The keys that say where the dataset lies: they may change where a finished run is taken elsewhere."""
    found = find_components(list(slots(plain(recipe))), recipe.where)[0].get(("dataset",))
    options = found and (found.component.options if found.options is None else found.options)
    return [f"dataset.{name}" for name, value in dict(options or ()).items() if isinstance(value, Path)]


def _leaves(recipe: Recipe | Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted key, without the harmless ones; a list is one value, and so is an empty block."""
    leaves: dict[str, Any] = {}

    def collect(value: Any, key: str) -> None:
        if isinstance(value, Mapping) and value:
            for name, below in value.items():
                collect(below, f"{key}.{name}" if key else str(name))
        elif key not in HARMLESS:
            leaves[key] = value

    collect(resolved(recipe) if isinstance(recipe, Recipe) else recipe, "")
    return leaves


def _canonical(value: Any) -> str:
    return json.dumps(_number(value), sort_keys=True)


def _number(value: Any) -> Any:
    """The value with whole numbers alike, however they are written: a field's default may be 1 where 1.0 is read."""
    if isinstance(value, dict):
        return {key: _number(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_number(below) for below in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
