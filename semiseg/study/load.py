"""Loading a study: its base recipe, and every model of its matrix, with all that is wrong told at once."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from semiseg.errors import Problem, RecipeError, raise_all
from semiseg.recipe.blocks import kind_at
from semiseg.recipe.load import make_recipe
from semiseg.recipe.overrides import apply_overrides, put_value
from semiseg.recipe.places import Places
from semiseg.recipe.schema import Recipe
from semiseg.recipe.yaml import read_yaml
from semiseg.study.models import (
    StudyModel,
    Varied,
    counts_of,
    method_of,
    name_of,
    setting_of,
    takes_unlabeled,
    varied_keys,
)
from semiseg.study.schema import StudyRecipe
from semiseg.wording import Place, explain


@dataclass(frozen=True)
class Study:
    """A study recipe with its models, in the order of the matrix, seeds innermost."""

    recipe: StudyRecipe
    models: tuple[StudyModel, ...]
    source: Path

    @property
    def name(self) -> str:
        """The study's name."""
        return self.recipe.name

    @property
    def baseline(self) -> str:
        """The method that the others are compared with."""
        return self.recipe.baseline


def load_study(path: str | Path, overrides: Sequence[str] = (), *, expand: bool = True) -> Study:
    """A study from its file.

    Args:
        path: a YAML file with the keys of ``StudyRecipe``.
        overrides: changes to the base recipe, such as ``"dataset.root=/data/BraTS2021"``.
        expand: replace environment variables in paths; without it they stay as written, which is enough for a plan.

    Raises:
        RecipeError: with all problems of the study, and of all its models.
    """
    source = Path(path)
    data, places = read_yaml(source)
    if "matrix" not in data and "dataset" in data:
        raise RecipeError(f"{source} is the recipe of one run: it has no matrix.", f"semiseg run {source}")
    try:
        recipe = StudyRecipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(explain(error, StudyRecipe, data, Place(where=places.where))) from error
    base, base_places = _base(recipe, source, places)
    apply_overrides(base, base_places, overrides)
    return Study(recipe, _models(recipe, base, base_places, places, expand), source)


def _base(recipe: StudyRecipe, source: Path, places: Places) -> tuple[dict[Any, Any], Places]:
    if isinstance(recipe.base, str):
        return read_yaml(source.parent / recipe.base)
    base = deepcopy(dict(recipe.base))
    base.setdefault("name", recipe.name)
    return base, places.below("base")


def _models(
    recipe: StudyRecipe, base: Mapping[Any, Any], base_places: Places, places: Places, expand: bool
) -> tuple[StudyModel, ...]:
    points = list(_points(recipe))
    found: list[Recipe] = []
    problems: dict[Problem, None] = {}
    for point in points:
        where = places.where(f"matrix.{point.block}")
        try:
            found.append(_recipe(base, base_places, point, where, expand))
        except RecipeError as error:
            problems |= dict.fromkeys(error.problems)
    raise_all(list(problems), RecipeError)
    varied = varied_keys([point.values for point in points])
    models = tuple(_model(point, varied, one) for point, one in zip(points, found, strict=True))
    raise_all(_conflicts(models, recipe), RecipeError)
    return models


@dataclass(frozen=True, slots=True)
class _Point:
    """One model of the matrix: what it takes, in which block and with which seed.

    ``method`` is the name that the block gives its method, and ``own`` the keys that then belong to the method.
    """

    values: Varied
    block: int
    seed: int
    method: str
    own: frozenset[str]


def _points(recipe: StudyRecipe) -> Iterator[_Point]:
    for number, block in enumerate(recipe.matrix):
        named = {_full_key(key): value for key, value in block.items() if key != "method"}
        method = str(block.get("method", "")).strip()
        own = frozenset(key for key, value in named.items() if method and not isinstance(value, list))
        choices = [value if isinstance(value, list) else [value] for value in named.values()]
        for values in product(*choices):
            for seed in recipe.seeds:
                yield _Point(dict(zip(named, values, strict=True)), number, seed, method, own)


def _full_key(key: str) -> str:
    """``strategy`` and ``strategy.name`` are one key."""
    path = tuple(key.split("."))
    return key.removesuffix(".name") if path[-1] == "name" and kind_at(path[:-1]) else key


def _recipe(base: Mapping[Any, Any], base_places: Places, point: _Point, where: str, expand: bool) -> Recipe:
    data, places = deepcopy(dict(base)), base_places.copied()
    problems: list[Problem] = []
    for key, value in point.values.items():
        try:
            put_value(data, places, key, deepcopy(value), where)
        except RecipeError as error:
            problems += error.problems
    raise_all(problems, RecipeError)
    put_value(data, places, "seed", point.seed, where)
    return make_recipe(data, places, expand=expand)


def _model(point: _Point, varied: Sequence[str], recipe: Recipe) -> StudyModel:
    strategy = str(recipe.strategy.name)
    others = [key for key in varied if key not in point.own]
    method = point.method or method_of(strategy, point.values, varied)
    draft = StudyModel("", recipe, setting_of(point.values, others), method)
    total_is_varied = "split.total" in varied and takes_unlabeled(strategy)
    name = name_of(draft.setting, draft.method, counts_of(draft.labeled, draft.total, total_is_varied), recipe.seed)
    return StudyModel(name, recipe.model_copy(update={"name": name}), draft.setting, draft.method)


def _conflicts(models: Sequence[StudyModel], recipe: StudyRecipe) -> list[Problem]:
    problems = []
    for name, times in Counter(model.name for model in models).items():
        if times > 1:
            fix = "Vary an option by a key of its own (strategy.phi: [0.5, 1.0]), or leave one of them out."
            problems.append(Problem("matrix", f"{times} models would be called {name}", fix))
    for names in _by_hash(models).values():
        if len(set(names)) > 1:
            problems.append(Problem("matrix", f"these models are the same: {', '.join(names)}", "Leave one out."))
    if recipe.baseline not in {model.method for model in models}:
        methods = ", ".join(dict.fromkeys(model.method for model in models))
        what = f"no model is of the baseline {recipe.baseline!r}"
        problems.append(Problem("baseline", what, f"The methods are {methods}."))
    if any(model.recipe.split.draw is not None for model in models) and len(recipe.seeds) > 1:
        what = "split.draw is set, so that every seed has the same labeled cases"
        problems.append(Problem("split.draw", what, "Leave it out: a study's seeds draw the labeled cases anew."))
    return problems


def _by_hash(models: Sequence[StudyModel]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for model in models:
        names.setdefault(model.hash, []).append(model.name)
    return names
