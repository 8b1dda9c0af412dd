"""The base of all components: a class found by an entry point, with nested options."""

from collections.abc import Set
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from semiseg.errors import ComponentError


class GrowingModel(BaseModel):
    """Base of models whose written form stays the same when they get further fields: recipes and options."""

    newer: ClassVar[frozenset[str]] = frozenset()
    """Fields added when runs already existed. They are not written while at their defaults, so that the recipes of
    those runs, and their hashes, stay the same."""

    def written(self) -> dict[str, Any]:
        """Return the values of the fields that are written, by name."""
        return {name: value for name, value in self if self._is_written(name)}

    def _is_written(self, name: str) -> bool:
        field = type(self).model_fields.get(name)
        if field is None or name not in self.newer:
            return True
        return bool(getattr(self, name) != field.get_default(call_default_factory=True))

    @model_serializer(mode="wrap")
    def _without_newer(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if self._is_written(name)}


class ComponentOptions(GrowingModel):
    """Base of a component's options: validates the recipe's block and rejects unknown keys.

    Give every field a description, and a default if there is a sensible one. The declaration serves validation,
    ``semiseg plugins show`` and the JSON Schema for completion in editors.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


def declared_axes(component: Any) -> frozenset[int]:
    """Return the ``spatial_dims`` of a component's class or object; empty for a kind without.

    Raises ComponentError unless they are {2}, {3} or both.
    """
    declared: Any = getattr(component, "spatial_dims", frozenset())
    if not isinstance(declared, Set) or not declared <= {2, 3}:
        cls = component if isinstance(component, type) else type(component)
        raise ComponentError(
            f"{cls.__module__}.{cls.__qualname__}.spatial_dims is {declared!r}.",
            "It is the set of supported numbers of axes: frozenset({2}), frozenset({3}) or frozenset({2, 3}).",
        )
    return frozenset(declared)


class Component:
    """Base of every component. ``Options`` is nested in the class; ``options`` is an instance of it.

    ``semiseg plugins`` shows the first line of the class docstring; name the source (paper, arXiv number) in the rest.
    """

    Options: ClassVar[type[ComponentOptions]] = ComponentOptions

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.Options() if options is None else options
