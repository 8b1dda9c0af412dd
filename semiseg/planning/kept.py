"""The recipe of a run that has begun, with the values that were planned for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from semiseg.errors import RunError
from semiseg.planning.open_values import open_keys, with_values
from semiseg.recipe.schema import Recipe

_RESTORE = "Restore it from a copy of the run folder."


def as_planned(recipe: Recipe, planned: Mapping[str, Any], file: Path) -> Recipe:
    """Return a run's recipe with the planned values of ``file``, its model.json, in place of "auto".

    Raises RunError if they are not valid or not complete.
    """
    try:
        found = with_values(recipe, planned)
    except ValidationError as error:
        raise RunError(f"{file} is damaged: its planned values are not valid.", _RESTORE) from error
    if lacking := open_keys(found):
        raise RunError(f"{file} is damaged: it lacks the planned {', '.join(lacking)}.", _RESTORE)
    return found
