"""Checks of a recipe's preprocessing against its data, before training."""

from semiseg.errors import Problem, RecipeError
from semiseg.messages import some
from semiseg.preprocessing.normalization import methods_of
from semiseg.recipe.schema import Recipe
from semiseg.types import DatasetInfo


def normalization_problems(recipe: Recipe, info: DatasetInfo) -> list[Problem]:
    """Return problems of normalization by modality, and of a voxel size with other axes than the patch."""
    options, problems = recipe.preprocessing, method_problems(recipe, info)
    if not problems:
        methods = methods_of(options, info.modalities)
        wanted = {name for name, method in zip(info.modalities, methods, strict=True) if method == "ct"}
        known = set(options.intensities) if isinstance(options.intensities, dict) else set()
        if lacking := sorted(wanted - known):
            key = recipe.placed("preprocessing.intensities")
            what = f"{key} lacks {some(lacking)}, which preprocessing.normalize takes for CT."
            problems.append(Problem("", what, "Add them, or set it to auto."))
        if isinstance(options.intensities, dict) and (unused := sorted(known - wanted)):
            key = recipe.placed("preprocessing.intensities")
            what = f"{key} has {some(unused)}, which preprocessing.normalize does not take for CT."
            problems.append(Problem("", what, "Leave it out, or set preprocessing.normalize to ct."))
    return problems + resampling_problems(recipe)


def resampling_problems(recipe: Recipe) -> list[Problem]:
    """Return problems of a grid that has other axes than the patch."""
    options, sides = recipe.preprocessing, len(recipe.training.patch)
    fix, problems = f"Give {sides}: in the plane of the slices, two; for volumes, three.", []
    for name, given in (("spacing", options.spacing), ("resize", options.resize)):
        if not isinstance(given, str) and len(given) != sides:
            key = recipe.placed(f"preprocessing.{name}")
            what = f"{key} has {len(given)} numbers, but training.patch_size has {sides} sides."
            problems.append(Problem("", what, fix))
    return problems


def method_problems(recipe: Recipe, info: DatasetInfo) -> list[Problem]:
    """Return problems of normalization by modality with the dataset's modalities."""
    if recipe.preprocessing.normalize == "auto":
        return []
    try:
        methods_of(recipe.preprocessing, info.modalities)
    except RecipeError as error:
        return list(error.problems)
    return []
