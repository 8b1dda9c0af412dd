"""Loading a recipe: read, override, expand and validate it, and report all problems at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from semiseg.errors import ComponentError, Problem, RecipeError, raise_all
from semiseg.messages import Place, explain
from semiseg.recipe.component_slots import plain, slots
from semiseg.recipe.components import component_class, find_components
from semiseg.recipe.find import find_recipe
from semiseg.recipe.overrides import apply_overrides
from semiseg.recipe.schema import Recipe
from semiseg.recipe.source_locations import Places
from semiseg.recipe.variables import Expander
from semiseg.recipe.yaml import read_yaml
from semiseg.registry import notes_on


def load_recipe(
    source: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), *, expand: bool = True
) -> Recipe:
    """Load a valid recipe; component names and options are checked, data are not read.

    Args:
        source: a YAML file, the name of a shipped recipe (``semiseg recipes`` lists them), or a mapping with the same
            keys. In a mapping, components may be given as classes or ready objects in place of names:
            ``{"strategy": {"name": MyStrategy, "phi": 1.0}}``.
        overrides: changes such as ``"training.epochs=10"``, see ``semiseg.recipe.overrides``.
        expand: replace environment variables and make paths absolute (relative to the current folder), see
            ``semiseg.recipe.variables``.

    Raises:
        RecipeError: with all problems, each with file and line.
    """
    if isinstance(source, Mapping):
        data, places = plain(source), Places()
    else:
        file = find_recipe(source)
        data, places = read_yaml(file.path, file.title)
    if {"base", "matrix"} <= set(data):
        raise RecipeError(f"{places.where('') or 'This'} is a study recipe.", f"semiseg study run {places.where('')}")
    notes = apply_overrides(data, places, overrides)
    return make_recipe(data, places, notes, expand=expand)


def make_recipe(data: dict[Any, Any], places: Places, notes: Sequence[str] = (), *, expand: bool = True) -> Recipe:
    """Create a valid recipe from plain data, which ``expand`` modifies. Raises RecipeError with all problems."""
    problems = _expand(data, places) if expand else []
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        problems += explain(error, Recipe, data, Place(where=places.where))
    problems += find_components(list(slots(data)), places.where)[1]
    raise_all(problems, RecipeError)
    more = (note for slot in slots(data) if isinstance(slot.name, str) for note in notes_on(slot.kind, slot.name))
    return recipe.read_from(places, tuple(dict.fromkeys([*notes, *more])))


def _expand(data: dict[Any, Any], places: Places) -> list[Problem]:
    expander = Expander(places)
    expander.fields(Recipe, data)
    for slot in slots(data):
        try:
            cls: Any = component_class(slot, places.where)
        except ComponentError:  # reported by find_components
            continue
        if cls is not None and slot.values:
            block: Any = data
            for key in slot.path:
                block = block[int(key)] if isinstance(block, list) else block[key]
            expander.fields(cls.Options, slot.values, slot.key, texts=slot.kind == "dataset")
            block.update(slot.values)
    return expander.problems
