"""``--set KEY=VALUE``: changes to a recipe's plain data before validation."""

from collections.abc import Mapping, Sequence
from typing import Any

from semiseg.errors import Problem, RecipeError, raise_all
from semiseg.messages import show
from semiseg.recipe.component_slots import kind_at
from semiseg.recipe.schema import Recipe
from semiseg.recipe.source_locations import Places
from semiseg.recipe.yaml import parse_yaml
from semiseg.registry import current_name


def apply_overrides(data: dict[Any, Any], places: Places, overrides: Sequence[str]) -> list[str]:
    """Apply changes such as ``training.epochs=10`` in order; the value is YAML 1.2, text needs no quotes.

    A different name for a component (``strategy.name=supervised``, or ``strategy=supervised``) replaces its whole
    block; later changes apply to the new one.

    Returns:
        Notes on the options dropped with a replaced block and not set again.

    Raises:
        RecipeError: with every change that cannot be made; whether keys exist is validated later.
    """
    problems: list[Problem] = []
    dropped: list[tuple[str, Mapping[str, Any]]] = []
    for override in overrides:
        try:
            dropped.append((f"--set {override}", _apply(data, places, override)))
        except RecipeError as error:
            problems += error.problems
    raise_all(problems, RecipeError)
    return [
        f"{source} dropped " + ", ".join(f"{key}={_bare(value)}" for key, value in lost.items())
        for source, options in dropped
        if (lost := {key: old for key, old in options.items() if isinstance(old, dict) or not _is_set(data, key)})
    ]


def _is_set(data: Any, key: str) -> bool:
    """Return whether plain data has a value at a dotted key."""
    for part in key.split("."):
        if not isinstance(data, dict) or part not in data:
            return False
        data = data[part]
    return True


def _apply(data: dict[Any, Any], places: Places, override: str) -> dict[str, Any]:
    source = f"--set {override}"
    key, equals, text = override.partition("=")
    if not equals:
        raise RecipeError(f"{source} is not KEY=VALUE.", "Example: --set training.epochs=10")
    return put_value(data, places, key.strip(), _parse(text, source), source)


def put_value(data: dict[Any, Any], places: Places, key: str, value: Any, source: str) -> dict[str, Any]:
    """Set the value of a dotted key, as an override does; ``source`` says where the change was written.

    Returns the options dropped with a replaced block, by dotted key. Raises RecipeError if the value cannot be set.
    """
    path = tuple(key.split("."))
    if not all(path):
        raise RecipeError(f"{source} is not KEY=VALUE.", "Example: --set training.epochs=10")
    if kind_at(path) and not isinstance(value, dict):
        path = (*path, "name")
    block = _descend(data, path[:-1], source, places)
    dropped: dict[Any, Any] = {}
    if kind_at(path) and isinstance(block, dict) and isinstance(block.get(path[-1]), dict):  # a whole block
        dropped = {
            f"{path[-1]}.{option}": old for option, old in block[path[-1]].items() if option not in {"name", *value}
        }
    kind = kind_at(path[:-1]) if isinstance(block, dict) and path[-1] == "name" else None
    if kind and current_name(kind, block.get("name")) != current_name(kind, value):
        dropped = {option: old for option, old in block.items() if option != "name"}
        block.clear()
        places.put(path[:-1], source)
    block[_existing(block, path, source)] = value
    places.put(path, source)
    return {".".join((*path[:-1], str(option))): old for option, old in dropped.items()}


def _parse(text: str, source: str) -> Any:
    value, _ = parse_yaml(text, source, lines=False)
    # In a path, keep what YAML would read as a comment: data/set #2.
    return text.strip() if isinstance(value, str) and text.lstrip()[:1] not in "'\"|>" else value


def _descend(data: dict[Any, Any], path: tuple[str, ...], source: str, places: Places) -> Any:
    """Return the block at a path. Missing blocks start with the schema's default component, or empty."""
    block: Any = data
    for depth in range(len(path)):
        here = path[: depth + 1]
        key = _existing(block, here, source)
        below = block[key] if isinstance(block, list) else block.get(key)
        if below is None:
            below = _beginning(here)
            places.put(here, source)
        elif kind_at(here) and not isinstance(below, dict):
            below = {"name": below}
        elif not isinstance(below, dict | list):
            raise RecipeError(f"{source} cannot be set: {'.'.join(here)} is {show(below)}, not a block of keys.")
        block[key] = below
        block = below
    return block


def _beginning(path: tuple[str, ...]) -> dict[str, Any]:
    info = Recipe.model_fields.get(path[0]) if kind_at(path) and len(path) == 1 else None
    return {"name": info.default.name} if info and not info.is_required() else {}


def _existing(block: Any, path: tuple[str, ...], source: str) -> Any:
    """Return a path's last key as the block has it: numbers are positions in lists, and may be keys of mappings."""
    key = path[-1]
    number = int(key) if key.isdecimal() and len(key) < 10 else None
    if isinstance(block, list):
        if number is None or number >= len(block):
            what = f"a list with positions 0 to {len(block) - 1}" if block else "an empty list"
            raise RecipeError(f"{source} cannot be set: {'.'.join(path[:-1])} is {what}.")
        return number
    return number if number in block and key not in block else key


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else show(value)
