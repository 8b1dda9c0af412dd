"""Locating a recipe's file: by path, or by the name of a recipe in an installed package."""

from dataclasses import dataclass
from pathlib import Path

from semiseg.errors import RecipeError
from semiseg.own_plugins import answer
from semiseg.recipe.shipped import find_shipped, shipped


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """A recipe's file and its title in messages and commands: its path, or the name of a shipped recipe."""

    path: Path
    title: str


def find_recipe(source: str | Path) -> RecipeFile:
    """Return the file of a recipe.

    Args:
        source: a path, or a name without folder and ``.yaml``. A name refers to a file in the current folder, with or
            without ``.yaml``, or otherwise to a shipped recipe.

    Raises:
        RecipeError: for an unknown name, and for a path without a file if a shipped recipe has its name.
    """
    path = Path(source)
    if _is_name(path):
        for file in (path, Path(f"{path}.yaml")):
            if _is_there(file):
                return RecipeFile(file, str(file))
        unknown = f"There is neither a file {path.name!r} in this folder nor a shipped recipe of this name."
        return RecipeFile(find_shipped(path.name, unknown).path, path.name)
    if not _is_there(path):
        _refuse_lost(path)
    return RecipeFile(path, str(path))


def _is_name(path: Path) -> bool:
    return path.name == str(path) and path.suffix not in (".yaml", ".yml")


def _is_there(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # reading it will report the reason
        return True


def _refuse_lost(path: Path) -> None:
    """Suggest a shipped recipe if a path, such as ``recipes/quickstart.yaml``, is valid only in a checkout."""
    if path.is_dir():
        return
    lost = f"{path} cannot be read: No such file or directory."
    for recipe in shipped():
        if recipe.name == path.stem:
            fix = f"{recipe.package} ships a recipe of this name. Run it from any folder: {recipe.command}"
            raise RecipeError(lost, fix)
    if ours := answer("recipe", path.stem):
        raise RecipeError(f"{lost} A plugin ships a recipe of this name. {ours[0]}", ours[1])
