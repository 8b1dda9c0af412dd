"""What all components share: a class found by an entry point, with its options declared inside it."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class ComponentOptions(BaseModel):
    """Base of a component's options: the recipe's block is validated by it; unknown keys are errors.

    Give every field a description and a default where one makes sense: the same declaration serves validation,
    ``semiseg plugins show`` and the JSON Schema that editors complete from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    newer: ClassVar[frozenset[str]] = frozenset()
    """Options that came later than runs that exist: they are not written while they have their defaults, so that
    recipes of these runs stay what they were, to the hash."""

    @model_serializer(mode="wrap")
    def _without_newer(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        fields = type(self).model_fields
        usual = {key: fields[key].get_default(call_default_factory=True) for key in self.newer & {*fields}}
        return {key: v for key, v in written.items() if key not in usual or getattr(self, key) != usual[key]}


class Component:
    """Base of every component. ``Options`` is nested in the class; ``options`` is an instance of it.

    The first line of the class docstring is shown by ``semiseg plugins``; name the source (paper, arXiv number) in
    the rest of it.
    """

    Options: ClassVar[type[ComponentOptions]] = ComponentOptions

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.Options() if options is None else options
