"""A recipe's values that are "auto" and made from the data: their keys, and the recipe with values in their place."""

from collections.abc import Mapping
from typing import Any

from semiseg.recipe.diff import FORMER
from semiseg.recipe.schema import Preprocessing, Recipe, Training


def open_keys(recipe: Recipe) -> list[str]:
    """Return the keys of a recipe that are "auto" and made from the data, in the order in which they are settled."""
    preprocessing, training = recipe.preprocessing, recipe.training
    needs_intensities = preprocessing.normalize in ("ct", "auto") or (
        isinstance(preprocessing.normalize, dict) and "ct" in preprocessing.normalize.values()
    )
    keys = {
        "preprocessing.normalize": preprocessing.normalize == "auto",
        "preprocessing.foreground": preprocessing.foreground == "auto",
        "preprocessing.intensities": preprocessing.intensities == "auto" and needs_intensities,
        "preprocessing.spacing": preprocessing.spacing == "auto",
        "training.patch_size": isinstance(training.patch_size, str),
        "training.batch_size": training.batch_size == "auto",
    }
    return [key for key, is_open in keys.items() if is_open]


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return a recipe with values at such keys, as plain data; messages still name the places of the original's keys.

    Raises pydantic's ValidationError for a value that is not valid.
    """
    changed: dict[str, Any] = {}
    models: tuple[tuple[str, type[Preprocessing] | type[Training]], ...] = (
        ("preprocessing", Preprocessing),
        ("training", Training),
    )
    for block, model in models:
        own = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{block}.")}
        if isinstance(own.get("batch_size"), Mapping):  # an earlier version planned no ``fill``
            own["batch_size"] = {"fill": FORMER["training.batch_size.fill"], **own["batch_size"]}
        if own:
            changed[block] = model.model_validate({**getattr(recipe, block).model_dump(), **own})
    return recipe.model_copy(update=changed)
