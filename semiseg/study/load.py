"""Loading a study: its base recipe and every model of its matrix, with all problems reported at once."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from semiseg.errors import Problem, RecipeError, raise_all
from semiseg.messages import Place, explain
from semiseg.recipe.find import find_recipe
from semiseg.recipe.overrides import apply_overrides
from semiseg.recipe.schema import Recipe
from semiseg.recipe.shipped import find_shipped
from semiseg.recipe.source_locations import Places
from semiseg.recipe.yaml import read_yaml
from semiseg.study.conflicts import conflicts, notes_on
from semiseg.study.matrix import Point, block_places, owned_keys, points, recipe_at
from semiseg.study.models import (
    StudyModel,
    chosen_by,
    counts_of,
    method_of,
    name_of,
    setting_of,
    takes_unlabeled,
    varied_keys,
)
from semiseg.study.published import find_published, load_published
from semiseg.study.rounds import chained
from semiseg.study.schema import StudyRecipe


@dataclass(frozen=True)
class Study:
    """A study recipe with its models, in the order of the matrix, folds and then seeds innermost.

    Attributes:
        recipe: the study recipe as written.
        base: the base recipe's data, with overrides applied.
        models: all models.
        notes: notes for the user.
        where: returns the file and line of a key of the study recipe, for messages.
        published: the file of the published values that the recipe names.
    """

    recipe: StudyRecipe
    base: Mapping[Any, Any]
    models: tuple[StudyModel, ...]
    notes: tuple[str, ...] = ()
    where: Callable[[str], str] = field(default=lambda key: "", compare=False)
    published: Path | None = None

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.recipe.name

    @property
    def baseline(self) -> str:
        """Method that the others are compared with."""
        return self.recipe.baseline

    def as_data(self) -> dict[str, Any]:
        """Return the study recipe with its base and overrides merged, in a form that can be loaded again."""
        return {**self.recipe.model_dump(mode="json", exclude_defaults=True), "base": dict(self.base)}


def load_study(path: str | Path, overrides: Sequence[str] = (), *, expand: bool = True) -> Study:
    """Load a study from its file.

    Args:
        path: a YAML file with the keys of ``StudyRecipe``, or the name of a shipped one.
        overrides: changes to the base recipe, such as ``"dataset.root=/data/BraTS2021"``.
        expand: replace environment variables in paths; without it they stay as written, which is enough for a plan.

    Raises:
        RecipeError: with all problems of the study and of all its models.
    """
    file = find_recipe(path)
    data, places = read_yaml(file.path, file.title)
    if "matrix" not in data and "dataset" in data:
        raise RecipeError(f"{file.title} is the recipe of one run: it has no matrix.", f"semiseg run {file.title}")
    recipe, problems = _head(data, places)
    if recipe is None:
        raise RecipeError(problems)
    published = _published(recipe, file.path, places, problems)
    spanned = list(points(recipe))
    try:
        base, base_places = _base(recipe, file.path, places)
        _refuse_base(overrides)
        apply_overrides(base, base_places, overrides)
        _refuse_other_folds(recipe, base, base_places)
        recipes = _recipes(spanned, base, base_places, block_places(recipe, places), expand)
    except RecipeError as error:
        raise RecipeError([*problems, *error.problems]) from error
    raise_all(problems, RecipeError)
    models = _models(recipe, spanned, recipes, places)
    return Study(recipe, base, models, tuple(notes_on(models, recipe, overrides)), places.where, published)


def _head(data: Mapping[Any, Any], places: Places) -> tuple[StudyRecipe | None, list[Problem]]:
    """Return the study recipe and its problems.

    If only keys other than base and matrix are wrong, return the recipe without them, so that the models are checked
    too.
    """
    try:
        return StudyRecipe.model_validate(data), []
    except ValidationError as error:
        problems = explain(error, StudyRecipe, data, Place(where=places.where))
        wrong = {detail["loc"][0] for detail in error.errors()}
    rest = {"name": "study", **{key: value for key, value in data.items() if key not in wrong}}
    try:
        return StudyRecipe.model_validate(rest), problems
    except ValidationError:
        return None, problems


def _published(recipe: StudyRecipe, source: Path, places: Places, problems: list[Problem]) -> Path | None:
    """Return the file of published values; None if the recipe names none. Adds the problems of the file."""
    if not recipe.published:
        return None
    try:
        file = find_published(recipe.published, source.parent, f"published ({places.where('published')})")
        load_published(file)
    except RecipeError as error:
        problems += error.problems
        return None
    return file


def _base(recipe: StudyRecipe, source: Path, places: Places) -> tuple[dict[Any, Any], Places]:
    """Return the base recipe and its places. The base of another study is that study's own."""
    base: Any = recipe.base
    followed = {source.resolve()}
    while isinstance(base, str):
        source = _base_file(base, source, places)
        if source.resolve() in followed:
            raise RecipeError(f"base ({places.where('base')}): {base} leads back to a study that names it.")
        followed.add(source.resolve())
        data, places = read_yaml(source)
        if "matrix" not in data:
            return data, places
        base = data.get("base")
    if not isinstance(base, dict):
        raise RecipeError(f"{places.where('base')}: a study's base is a recipe, or the path or name of one.")
    base = deepcopy(dict(base))
    base.setdefault("name", recipe.name)
    return base, places.below("base")


def _base_file(base: str, source: Path, places: Places) -> Path:
    beside = source.parent / base
    if beside.is_file() or Path(base).suffix or beside.name != base:
        return beside
    unknown = f"base ({places.where('base')}): there is neither a file {beside} nor a shipped recipe of this name."
    return find_shipped(base, unknown).path


def _recipes(
    spanned: Sequence[Point], base: Mapping[Any, Any], base_places: Places, blocks: Sequence[Places], expand: bool
) -> list[Recipe]:
    found: list[Recipe] = []
    problems: dict[Problem, None] = {}
    for point in spanned:
        try:
            found.append(recipe_at(base, base_places, point, blocks[point.block], expand=expand))
        except RecipeError as error:
            problems |= dict.fromkeys(error.problems)
    raise_all(list(problems), RecipeError)
    return found


def _models(
    recipe: StudyRecipe, spanned: Sequence[Point], recipes: Sequence[Recipe], places: Places
) -> tuple[StudyModel, ...]:
    varied, own = varied_keys([point.values for point in spanned]), owned_keys(recipe)
    models = tuple(_model(point, varied, own, one) for point, one in zip(spanned, recipes, strict=True))
    models = chained(spanned, models, places)
    raise_all(conflicts(models, recipe), RecipeError)
    return models


def _model(point: Point, varied: Sequence[str], own: frozenset[str], recipe: Recipe) -> StudyModel:
    strategy = str(recipe.strategy.name)
    setting = setting_of(recipe, [key for key in varied if key not in own])
    method = point.method or method_of(strategy, point.values, varied)
    draft = StudyModel("", recipe, setting, chosen_by(method, point.rule) if point.rule else method)
    total_is_varied = "split.total" in varied and takes_unlabeled(strategy)
    counts = counts_of(draft.labeled, draft.total, total_is_varied)
    name = name_of(draft.setting, draft.method, counts, recipe.seed, draft.fold)
    return StudyModel(name, recipe.model_copy(update={"name": name}), draft.setting, draft.method)


def _refuse_other_folds(recipe: StudyRecipe, base: Mapping[Any, Any], places: Places) -> None:
    split = base.get("split")
    keys = [key for key in ("folds", "fold") if isinstance(split, Mapping) and key in split]
    what, fix = "the study's folds set this key of every model", "Leave it out, or leave out the study's folds."
    found = [Problem(f"split.{key} ({places.where(f'split.{key}')})", what, fix) for key in keys if recipe.folds]
    raise_all(found, RecipeError)


def _refuse_base(overrides: Sequence[str]) -> None:
    what = "overrides of a study change its base recipe already"
    wrong = [override for override in overrides if override.startswith("base.")]
    raise_all(
        [Problem(f"--set {one}", what, f"Write --set {one.removeprefix('base.')}.") for one in wrong], RecipeError
    )
