"""Descriptions of installed components: a summary without importing them, and their options in words."""

import ast
import inspect
import json
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from semiseg.interfaces.component import declared_axes
from semiseg.registry import Entry, load


@dataclass(frozen=True, slots=True)
class Option:
    """One option in words; ``default`` is "required" if it has none."""

    name: str
    type: str
    default: str
    description: str


def summary(entry: Entry) -> str:
    """Return the first line of a component's docstring, read from its source; empty if unavailable.

    If the class declares that it supports images of one number of axes only, that is added: "(3D only)". Nothing is
    imported, not even the module's parent packages.
    """
    module, _, name = entry.target.partition(":")
    try:
        source = _source(module)
        tree = ast.parse(source.read_text(encoding="utf-8")) if source else None
    except Exception:  # third-party finder or source; `semiseg plugins show` reports what is wrong with it
        return ""
    for node in tree.body if tree else ():
        if isinstance(node, ast.ClassDef) and node.name == name:
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            only = only_dimension(_written_spatial_dims(node))
            return f"{first} ({only})".strip() if only else first
    return ""


def only_dimension(spatial_dims: Collection[int]) -> str:
    """Return "2D only" or "3D only" for a component that declares one number of spatial axes; else an empty string."""
    return f"{min(spatial_dims)}D only" if len(spatial_dims) == 1 else ""


def _written_spatial_dims(node: ast.ClassDef) -> Collection[int]:
    """Return the ``spatial_dims`` written in a class's body as ``frozenset({3})``; empty if there are none."""
    for statement in node.body:
        match statement:
            case ast.Assign([ast.Name("spatial_dims")], value) | ast.AnnAssign(ast.Name("spatial_dims"), _, value):
                match value:
                    case ast.Call(_, [ast.Set(elements)]):
                        values = [element.value for element in elements if isinstance(element, ast.Constant)]
                        return {value for value in values if isinstance(value, int)}
    return ()


def _source(module: str) -> Path | None:
    """Return a module's file, found as an import would find it but without running its parent packages."""
    folders: Any = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for depth in range(len(parts)):
        spec = _spec(".".join(parts[: depth + 1]), folders)
        if spec is None:
            return None
        folders = spec.submodule_search_locations
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


def _spec(name: str, folders: Any) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if spec := finder.find_spec(name, folders):
            return spec
    return None


def presets(entry: Entry) -> dict[str, dict[str, str]]:
    """Return a strategy's presets: by name, the options that it sets, in words; empty for other components."""
    found: Mapping[str, Mapping[str, Any]] = getattr(load(entry.kind, entry.name), "presets", {})
    return {name: {key: show_default(value) for key, value in values.items()} for name, values in found.items()}


def options(entry: Entry) -> Iterator[Option]:
    """Yield a component's options. Raises ComponentError if it cannot be loaded."""
    cls: Any = load(entry.kind, entry.name)
    schema = cls.Options.model_json_schema()
    required = schema.get("required", [])
    for name, about in schema.get("properties", {}).items():
        default = "required" if name in required else show_default(about.get("default"))
        yield Option(name, words(about, schema.get("$defs", {})), default, about.get("description", ""))


def docstring(entry: Entry) -> str:
    """Return a component's docstring. Raises ComponentError if it cannot be loaded."""
    return inspect.cleandoc(load(entry.kind, entry.name).__doc__ or "")


def only_for(entry: Entry) -> str:
    """Return "2D only" or "3D only", or an empty string. Raises ComponentError if the component cannot be loaded."""
    return only_dimension(declared_axes(load(entry.kind, entry.name)))


def show_default(value: Any) -> str:
    """Return a default as written in a recipe."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def words(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return a JSON Schema's type in words: ``number (at least 0)``."""
    if "$ref" in schema:
        schema = definitions.get(str(schema["$ref"]).rpartition("/")[2], {})
    if "anyOf" in schema:
        return " or ".join(words(part, definitions) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "prefixItems" in schema:
        return "[" + ", ".join(words(part, definitions) for part in schema["prefixItems"]) + "]"
    if schema.get("type") == "array":
        return f"list of {words(schema.get('items', {}), definitions)}"
    if isinstance(below := schema.get("additionalProperties"), dict):
        return f"block of keys, each {words(below, definitions)}"
    simple = {"integer": "whole number", "string": "text", "object": "block of keys", "boolean": "true or false"}
    kind = "path" if schema.get("format") in _PATHS else simple.get(schema.get("type", ""), schema.get("type", "any"))
    bounds = [f"{text} {schema[key]:g}" for key, text in _BOUNDS.items() if key in schema]
    return f"{kind} ({', '.join(bounds)})" if bounds else kind


_PATHS = ("path", "file-path", "directory-path")
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}
