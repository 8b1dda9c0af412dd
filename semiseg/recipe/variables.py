"""Environment variables and home folders in a recipe's paths.

``${NAME}``, ``${NAME:-default}`` and a leading ``~/`` are replaced in the values of path fields, and in all text of the
dataset's block. Paths become absolute; as in a shell, they are relative to the current folder.
"""

import os
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from semiseg.errors import Problem
from semiseg.messages import is_by_name, model_in
from semiseg.recipe.source_locations import Places

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class Expander:
    """Replaces variables in values and collects those that are not set."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.problems: list[Problem] = []

    def fields(self, model: type[BaseModel], values: dict[str, Any], prefix: str = "", texts: bool = False) -> None:
        """Replace variables in the model's fields in place. ``texts``: in all text, not only in paths."""
        for name, value in values.items():
            info = model.model_fields.get(name)
            key = f"{prefix}.{name}" if prefix else name
            values[name] = self._value(value, info.annotation if info else None, key, texts)

    def _value(self, value: Any, annotation: Any, key: str, texts: bool) -> Any:
        if isinstance(value, dict):
            inner = model_in(annotation)
            if inner and not (is_by_name(annotation) and value.keys().isdisjoint(inner.model_fields)):
                self.fields(inner, value, key, texts)
                return value
            return {name: self._value(below, annotation, f"{key}.{name}", texts) for name, below in value.items()}
        if isinstance(value, list):
            return [self._value(below, annotation, f"{key}.{i}", texts) for i, below in enumerate(value)]
        if isinstance(value, str | Path) and _takes_path(annotation) and value not in _words(annotation):
            return _absolute(self._replaced(str(value), key))
        if isinstance(value, str) and texts:
            return self._replaced(value, key)
        return value

    def _replaced(self, text: str, key: str) -> str:
        def value_of(match: re.Match[str]) -> str:
            name, default = match.groups()
            value = os.environ.get(name) or default
            if value is None:
                self.problems.append(self._unset(name, key))
            return value or ""

        text = _VARIABLE.sub(value_of, text)
        return str(Path.home()) + text[1:] if text == "~" or text.startswith("~/") else text

    def _unset(self, name: str, key: str) -> Problem:
        where = self.places.where(key)
        place = f" ({where})" if where else ""
        return Problem(
            "",
            f"{key}{place} uses the environment variable {name}, which is not set.",
            f"Set it (export {name}=...), or give the value: --set {key}=...",
        )


def _takes_path(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Path):
        return True
    return any(_takes_path(arg) for arg in get_args(annotation))


def _words(annotation: Any) -> tuple[Any, ...]:
    """Return the literal values that are allowed instead of a path."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(word for arg in get_args(annotation) for word in _words(arg))


def _absolute(text: str) -> str:
    return os.path.normpath(Path(text).absolute()) if text else text
