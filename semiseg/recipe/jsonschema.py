"""The recipe's JSON Schema (draft 7), with the options of all installed components, for editors."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from semiseg.errors import ComponentError
from semiseg.recipe.blocks import ROLES
from semiseg.recipe.schema import Recipe
from semiseg.registry import GROUPS, Entry, Kind, installed, load

_REFERENCE = "#/definitions/"
Say = Callable[[str], None]


def recipe_schema(say: Say = lambda text: None) -> dict[str, Any]:
    """A draft-7 schema of recipes. Components that cannot be loaded are offered by name, with any options.

    ``say`` is told of these.
    """
    schema = draft7(Recipe.model_json_schema(ref_template=_REFERENCE + "{model}"))
    definitions: dict[str, Any] = schema["definitions"]
    definitions.pop("Block", None)
    networks = definitions.pop("StrategyBlock")["properties"][ROLES]
    networks = {**networks, "additionalProperties": {"$ref": _REFERENCE + "backbone"}}
    for kind in GROUPS:
        own = {ROLES: networks} if kind == "strategy" else {}
        definitions[kind] = _block(kind, own, definitions, say)
    for kind in ("dataset", "augmentation", "backbone", "strategy"):
        _point(schema["properties"][kind], kind)
    _point(definitions["Evaluation"]["properties"]["metrics"]["items"], "metric")
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **schema,
        "title": "semiseg recipe",
        "description": Recipe.__doc__,
    }


def _point(schema: dict[str, Any], kind: Kind) -> None:
    """Make a schema stand for a kind of component; its description stays."""
    description = schema.get("description")
    schema.clear()
    schema.update(_described({"$ref": _REFERENCE + kind}, description))


def _block(kind: Kind, own: Mapping[str, Any], definitions: dict[str, Any], say: Say) -> dict[str, Any]:
    """A bare name, or a block in which the name decides what options there are."""
    names = list(dict.fromkeys(entry.name for entry in installed(kind)))
    name = {"enum": names, "description": f"Name of an installed {kind}."}
    cases = [
        {"if": {"properties": {"name": {"const": entry.name}}, "required": ["name"]}, "then": then}
        for entry, then in _options(kind, own, definitions, say)
    ]
    block: dict[str, Any] = {"type": "object", "required": ["name"], "properties": {"name": name}}
    return {"anyOf": [{"enum": names}, {**block, "allOf": cases} if cases else block]}


def _options(
    kind: Kind, own: Mapping[str, Any], definitions: dict[str, Any], say: Say
) -> Iterator[tuple[Entry, dict[str, Any]]]:
    for entry in installed(kind):
        prefix = f"{kind}.{entry.name}."
        try:
            cls: Any = load(kind, entry.name)
            options = draft7(cls.Options.model_json_schema(ref_template=f"{_REFERENCE}{prefix}{{model}}"))
        except ComponentError as error:  # it leaves the others working
            say(error.problems[0].what)
            continue
        except Exception as error:  # options of a stranger's own making
            say(f"The options of {kind} {entry} have no JSON Schema: {type(error).__name__}: {error}.")
            continue
        definitions.update({prefix + key: value for key, value in options.pop("definitions", {}).items()})
        properties = {"name": True, **own, **options.get("properties", {})}
        then = {"properties": properties, "required": options.get("required", []), "additionalProperties": False}
        yield entry, {"description": cls.__doc__, **then}


def draft7(schema: Any) -> Any:
    """A schema of draft 2020-12, as pydantic writes it, in the words of draft 7."""
    if isinstance(schema, list):
        return [draft7(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # Titles that pydantic makes up ("Lr") say less than the key.
    schema = {key: draft7(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    if "$defs" in schema:
        schema["definitions"] = schema.pop("$defs")
    if "prefixItems" in schema:
        schema["items"] = schema.pop("prefixItems")
        schema["additionalItems"] = False
    if "$ref" in schema and len(schema) > 1:
        schema = {"allOf": [{"$ref": schema.pop("$ref")}], **schema}  # draft 7 reads nothing beside a $ref
    return schema


def _described(schema: dict[str, Any], description: str | None) -> dict[str, Any]:
    return {"allOf": [schema], "description": description} if description else schema
