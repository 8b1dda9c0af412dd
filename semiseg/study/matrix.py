"""The matrix of a study: its points, and the recipe at each."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from semiseg.errors import Problem, RecipeError, raise_all
from semiseg.recipe.load import make_recipe
from semiseg.recipe.overrides import put_value
from semiseg.recipe.schema import Recipe
from semiseg.recipe.source_locations import Places
from semiseg.study.models import Varied
from semiseg.study.schema import ACQUISITION, METHOD, StudyRecipe, full_key


@dataclass(frozen=True, slots=True)
class Point:
    """One model of the matrix: its values, block and seed; ``method`` is the name given by the block.

    ``rule`` is the name and the options of the rule that chooses its labeled cases; empty if they are drawn.
    """

    values: Varied
    block: int
    seed: int
    method: str
    rule: Varied = field(default_factory=dict)


def points(recipe: StudyRecipe) -> Iterator[Point]:
    """Yield all points, blocks in order, the study's folds and then its seeds innermost."""
    folds: list[Varied] = [{}]
    if recipe.folds is not None:
        folds = [{"split.folds": recipe.folds, "split.fold": fold} for fold in range(recipe.folds)]
    for number, block in enumerate(recipe.matrix):
        named = _named(block)
        choices = [value if isinstance(value, list) else [value] for value in named.values()]
        for rule, values in product(_rules(block), product(*choices)):
            for fold, seed in product(folds, recipe.seeds):
                varied = {**dict(zip(named, values, strict=True)), **fold}
                yield Point(varied, number, seed, str(block.get(METHOD, "")).strip(), rule)


def owned_keys(recipe: StudyRecipe) -> frozenset[str]:
    """Return the keys that belong to the methods named by blocks, and are therefore not settings.

    These are the keys with a single value in a named block, unless a block lists several or an unnamed one has them.
    """
    own: set[str] = set()
    others: set[str] = set()
    for block in recipe.matrix:
        for key, value in _named(block).items():
            (own if METHOD in block and not isinstance(value, list) else others).add(key)
    return frozenset(own - others)


def block_places(recipe: StudyRecipe, places: Places) -> list[Places]:
    """Return for each block the places of its keys, as recipe keys; ``places`` are those of the study's file."""
    found = []
    for number, block in enumerate(recipe.matrix):
        written = places.below("matrix").below(str(number))
        own = Places(written.where(""))
        for key in sorted(block, key=_depth):
            # A block's key contains dots, at which ``Places.where`` would split it.
            own.put(tuple(full_key(key).split(".")), written.at((key,)) or written.where(""))
        found.append(own)
    return found


def recipe_at(base: Mapping[Any, Any], base_places: Places, point: Point, own: Places, *, expand: bool) -> Recipe:
    """Return the recipe of a point; ``own`` are the places of its block's keys. Raises RecipeError (all problems)."""
    data, places = deepcopy(dict(base)), base_places.copied()
    problems: list[Problem] = []
    # Components come before their options, as a different component drops options set before.
    for key in sorted(point.values, key=_depth):
        try:
            put_value(data, places, key, deepcopy(point.values[key]), own.where(key))
        except RecipeError as error:
            problems += error.problems
    raise_all(problems, RecipeError)
    put_value(data, places, "seed", point.seed, own.where(""))
    return make_recipe(data, places, expand=expand)


def _depth(key: str) -> int:
    return full_key(key).count(".")


def _named(block: Mapping[str, Any]) -> dict[str, Any]:
    return {full_key(key): value for key, value in block.items() if key not in (METHOD, ACQUISITION)}


def _rules(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = block.get(ACQUISITION, {})
    rules = given if isinstance(given, list) else [given]
    return [{"name": rule} if isinstance(rule, str) else dict(rule) for rule in rules]
