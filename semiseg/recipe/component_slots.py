"""The keys of a recipe that hold components, and their kinds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from semiseg.interfaces.component import GrowingModel
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
"""The key of a strategy's block with the backbones of its roles."""
PRESET = "preset"
"""The key of a strategy's block with the name of a set of options."""
OWN_KEYS: Mapping[Kind, tuple[str, ...]] = {
    "strategy": (ROLES, PRESET),
    "dataset": ("adopted", "pseudo_labels", "pseudo_confidence"),
}
"""The keys of a component's block that belong to the recipe and are not the component's options, by kind."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a component: its kind and key, and the recipe's values for it."""

    kind: Kind
    path: tuple[str, ...]
    name: Any
    values: dict[str, Any]
    preset: Any = None
    """The name of a strategy's preset, for options that have no value."""

    @property
    def key(self) -> str:
        """The dotted key of the block."""
        return ".".join(self.path)

    @property
    def title(self) -> str:
        """The component's name, or its class's if the recipe has a class or an object."""
        return component_title(self.name)


def component_title(name: Any) -> str:
    """Return a component's name in a recipe, or its class's if the recipe has a class or an object."""
    return name if isinstance(name, str) else getattr(name, "__name__", type(name).__name__)


def kind_at(path: tuple[str, ...]) -> Kind | None:
    """Return the kind of component that a key holds; None if it holds none."""
    for pattern, kind in _KINDS.items():
        if len(pattern) == len(path) and all(p in ("*", key) for p, key in zip(pattern, path, strict=True)):
            return kind
    return None


def slots(data: Any, path: tuple[str, ...] = ()) -> Iterator[Slot]:
    """Yield the components that a recipe's plain data name, valid or not; blocks without a name are skipped."""
    kind = kind_at(path)
    if kind and not isinstance(data, dict):
        yield Slot(kind, path, data, {})
    elif kind and "name" in data:
        own = {"name", *OWN_KEYS.get(kind, ())}
        values = {k: v for k, v in data.items() if isinstance(k, str) and k not in own}
        yield Slot(kind, path, data["name"], values, data.get(PRESET) if kind == "strategy" else None)
    if isinstance(data, dict | list) and any(pattern[: len(path)] == path for pattern in _KINDS):
        for key, below in data.items() if isinstance(data, dict) else enumerate(data):
            yield from slots(below, (*path, str(key)))


def plain(value: Any) -> Any:
    """Copy a recipe, or a part of one, to dictionaries and lists; components given as objects are kept as they are."""
    if isinstance(value, BaseModel):
        value = value.written() if isinstance(value, GrowingModel) else dict(value)
    if isinstance(value, Mapping):
        return {key: plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [plain(below) for below in value]
    return value
