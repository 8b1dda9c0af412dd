"""A recipe as resolved YAML, with every default written out, including those of component options."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.representer import RoundTripRepresenter

from semiseg.errors import RecipeError, SemisegError, raise_all
from semiseg.recipe.component_slots import OWN_KEYS, PRESET, Slot, plain, slots
from semiseg.recipe.components import Found, find_components
from semiseg.recipe.lasting import lasting_text
from semiseg.recipe.schema import Recipe


class _Representer(RoundTripRepresenter):
    """Writes ``null`` where ruamel would leave the value empty, and quotes text it would read as something else."""


_Representer.add_representer(type(None), lambda own, _: own.represent_scalar("tag:yaml.org,2002:null", "null"))
_Representer.add_representer(
    str,  # "?0" within [ ] would be read as a key
    lambda own, text: own.represent_scalar("tag:yaml.org,2002:str", text, '"' if text.startswith("?") else None),
)


def dump_recipe(recipe: Recipe) -> str:
    """Return the resolved recipe as YAML, which ``load_recipe`` reads again if all components are given by name.

    A component given as a class or an object is written as ``module:Class``; an option that is an array, as type,
    shape and digest. Raises RecipeError if a component cannot be found, ComponentError for an option without a
    lasting text.
    """
    return to_yaml(resolved(recipe))


def to_yaml(data: Mapping[str, Any]) -> str:
    """Return plain data as YAML 1.2: one key per line, lists of single values on one line."""
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.width = 120
    stream = io.StringIO()
    yaml.dump(_styled(data), stream)
    return stream.getvalue()


def _styled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _styled(below) for key, below in value.items()}
    if isinstance(value, list):
        items = CommentedSeq(_styled(item) for item in value)
        if not any(isinstance(item, dict | list) for item in value):
            items.fa.set_flow_style()
        return items
    return value


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Return the resolved recipe as plain data of text, numbers, lists and dictionaries."""
    data: dict[str, Any] = plain(recipe)
    found, problems = find_components(list(slots(data)), recipe.where)
    raise_all(problems, RecipeError)
    for path, component in found.items():
        parent: Any = data
        for key in path[:-1]:
            parent = parent[int(key)] if isinstance(parent, list) else parent[key]
        last: Any = int(path[-1]) if isinstance(parent, list) else path[-1]
        parent[last] = _block(component, parent[last])
    with_paths = {name: getattr(recipe, name).model_dump(mode="json") for name in ("preprocessing", "training")}
    return {**data, **with_paths}


def _block(found: Found, block: dict[str, Any]) -> dict[str, Any]:
    component = found.component
    options = component.options if found.options is None else found.options
    name = found.slot.name
    if not isinstance(name, str):
        cls = component if isinstance(component, type) else type(component)
        name = f"{cls.__module__}:{cls.__qualname__}"
    # The values of a preset are among the options.
    own = {key: block[key] for key in OWN_KEYS.get(found.slot.kind, ()) if block.get(key) and key != PRESET}
    return {"name": name, **_written(options, found.slot), **{key: _with_texts(value) for key, value in own.items()}}


def _with_texts(value: Any) -> Any:
    """Return a path, or a list of paths, as text; anything else unchanged."""
    if isinstance(value, list):
        return [_with_texts(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _written(options: BaseModel, slot: Slot) -> dict[str, Any]:
    """Return options as plain data."""

    def text(value: Any) -> str:
        return lasting_text(value, f"An option of the {slot.kind} {slot.title}")

    try:
        plain_options: dict[str, Any] = to_jsonable_python(options, fallback=text)
    except PydanticSerializationError as error:  # pydantic's wrapper of the error above
        if isinstance(error.__cause__, SemisegError):
            raise error.__cause__ from None
        raise
    return plain_options
