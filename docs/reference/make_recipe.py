"""Write recipe.md from the schema: python docs/reference/make_recipe.py."""

from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from semiseg.messages import model_in
from semiseg.recipe.schema import Block, Recipe

HEAD = """# The recipe

One YAML file (version 1.2: `1e-4` is a number, `NO` is text). Unknown and duplicate keys are errors, reported with
their line. Anchors, aliases and tags are refused, since a recipe is data, and so are whole numbers of more than 40
digits. A side of the patch is 8 to 4,096 voxels, and a count at most 1,000,000,000.

- Commands and functions that take a recipe file also take the name of a shipped recipe: `semiseg recipes` lists them.
- `--set a.b=c` changes a key from the command line; `c` is read as YAML. `--set strategy.name=N` replaces the whole
  block and reports the dropped options.
- `${VARIABLE}` and `${VARIABLE:-default}` are replaced in paths; a relative path is relative to the current folder.
- A component block has a `name` and the component's options: `semiseg plugins show NAME` lists them.
- `semiseg schema -o semiseg.json` writes a JSON Schema with the options of all installed plugins, for completion in
  editors: begin the recipe with `# yaml-language-server: $schema=semiseg.json`.

This page is generated from the schema by `python docs/reference/make_recipe.py`.

| key | default | what |
|---|---|---|
"""


def rows(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return a table row for each key, blocks before their keys."""
    lines = []
    for name, field in model.model_fields.items():
        key = prefix + name
        inner = block(field.annotation)
        default = "" if inner else f"`{shown(field.default)}`" if field.default is not PydanticUndefined else "required"
        if inner and issubclass(inner, Block):
            default = f"`{field.default.name}`" if isinstance(field.default, Block) else "required"
        what = " ".join((field.description or "").split())  # a row of a table is one line
        lines.append(f"| `{key}` | {default} | {what} |")
        options = inner or model_in(field.annotation)
        if options and not issubclass(options, Block):
            lines += rows(options, f"{key}.")
        elif inner:
            lines += [row for row in rows(inner, f"{key}.") if not row.startswith(f"| `{key}.name`")]
    return lines


def block(annotation: Any) -> type[BaseModel] | None:
    """Return the nested model of a field; None if it has none."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        found = [block(a) for a in get_args(annotation) if a is not NoneType]
        return found[0] if len(found) == 1 else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def shown(value: Any) -> str:
    """Return a default as written in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(v.name if isinstance(v, Block) else shown(v) for v in value) + "]"
    return str(value)


def page() -> str:
    """Return the whole page."""
    return HEAD + "\n".join(rows(Recipe)) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("recipe.md").write_text(page(), encoding="utf-8")
