"""Which keys of a recipe hold components, and of which kind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from semiseg.registry import Kind

_KINDS: Mapping[tuple[str, ...], Kind] = {
    ("dataset",): "dataset",
    ("augmentation",): "augmentation",
    ("backbone",): "backbone",
    ("strategy",): "strategy",
    ("strategy", "networks", "*"): "backbone",
    ("evaluation", "metrics", "*"): "metric",
}
ROLES = "networks"
"""The key of a strategy's block that is the recipe's, not an option."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a component: its kind and key, and what the recipe puts there."""

    kind: Kind
    path: tuple[str, ...]
    name: Any
    values: dict[str, Any]

    @property
    def key(self) -> str:
        """The dotted key of the block."""
        return ".".join(self.path)

    @property
    def title(self) -> str:
        """The component's name, or its class's where the recipe was given one."""
        if isinstance(self.name, str):
            return self.name
        return getattr(self.name, "__name__", type(self.name).__name__)


def kind_at(path: tuple[str, ...]) -> Kind | None:
    """The kind of component that a key holds; None for keys that hold none."""
    for pattern, kind in _KINDS.items():
        if len(pattern) == len(path) and all(p in ("*", key) for p, key in zip(pattern, path, strict=True)):
            return kind
    return None


def slots(data: Any, path: tuple[str, ...] = ()) -> Iterator[Slot]:
    """The components that plain data of a recipe name, valid or not; blocks without a name are left out."""
    kind = kind_at(path)
    if kind and not isinstance(data, dict):
        yield Slot(kind, path, data, {})
    elif kind and "name" in data:
        own = {"name", ROLES} if kind == "strategy" else {"name"}
        yield Slot(kind, path, data["name"], {k: v for k, v in data.items() if isinstance(k, str) and k not in own})
    if isinstance(data, dict | list) and any(pattern[: len(path)] == path for pattern in _KINDS):
        for key, below in data.items() if isinstance(data, dict) else enumerate(data):
            yield from slots(below, (*path, str(key)))


def plain(value: Any) -> Any:
    """A recipe, or a part of one, as dictionaries and lists of its own; components given as objects stay themselves."""
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, Mapping):
        return {key: plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [plain(below) for below in value]
    return value
