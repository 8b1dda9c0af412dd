"""The base of all components: a class found by an entry point, with nested options."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class ComponentOptions(BaseModel):
    """Base of a component's options: validates the recipe's block and rejects unknown keys.

    Give every field a description, and a default if there is a sensible one. The declaration serves validation,
    ``semiseg plugins show`` and the JSON Schema for completion in editors.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    newer: ClassVar[frozenset[str]] = frozenset()
    """Options added when runs already existed. They are not written while at their defaults, so that the recipes of
    those runs, and their hashes, stay the same."""

    @model_serializer(mode="wrap")
    def _without_newer(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        fields = type(self).model_fields
        usual = {key: fields[key].get_default(call_default_factory=True) for key in self.newer & {*fields}}
        return {key: v for key, v in written.items() if key not in usual or getattr(self, key) != usual[key]}


class Component:
    """Base of every component. ``Options`` is nested in the class; ``options`` is an instance of it.

    ``semiseg plugins`` shows the first line of the class docstring; name the source (paper, arXiv number) in the rest.
    """

    Options: ClassVar[type[ComponentOptions]] = ComponentOptions

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.Options() if options is None else options
