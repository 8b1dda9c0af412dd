"""Recipes in installed packages, semiseg's and those of plugins; no package is imported to find them.

A plugin names its folder of YAML files by an entry point of the group ``semiseg.recipes``, such as
``my_package.recipes``. In an editable checkout, the folder may be next to ``pyproject.toml`` instead, as semiseg's own
is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path

from semiseg.errors import RecipeError
from semiseg.messages import nearest
from semiseg.own_plugins import answer

GROUP = "semiseg.recipes"
_OWN = "semiseg.recipes"


@dataclass(frozen=True, slots=True, order=True)
class Shipped:
    """A recipe in an installed package; its name is its file's, without ``.yaml``."""

    name: str
    package: str
    path: Path

    @property
    def command(self) -> str:
        """The command that runs it."""
        is_study = re.search(r"^matrix:", self.path.read_text(encoding="utf-8-sig"), re.MULTILINE)
        return f"semiseg {'study run' if is_study else 'run'} {self.name}"


def by_package() -> dict[str, list[Shipped]]:
    """Return the recipes of each package that declares some, semiseg's first. Package names include the version."""
    found: dict[str, list[Shipped]] = {}
    for package, folder in _folders():
        files = sorted(folder.glob("*.yaml")) if folder else []
        found.setdefault(package, []).extend(Shipped(file.stem, package, file) for file in files)
    return found


def recipe_folders() -> list[Path]:
    """Return the recipe folders of installed packages, semiseg's first."""
    return list(dict.fromkeys(folder for _, folder in _folders() if folder))


def shipped() -> list[Shipped]:
    """Return all shipped recipes, sorted by name."""
    return sorted({recipe for recipes in by_package().values() for recipe in recipes})


def find_shipped(name: str, unknown: str = "") -> Shipped:
    """Return the one recipe of this name.

    Raises RecipeError if there is none, starting with ``unknown``, or if several packages have it.
    """
    recipes = shipped()
    matches = [recipe for recipe in recipes if recipe.name == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        claims = " and ".join(recipe.package for recipe in matches)
        paths = " or ".join(str(recipe.path) for recipe in matches)
        raise RecipeError(f"Several packages ship a recipe {name!r}: {claims}.", f"Give the path of one: {paths}.")
    unknown = unknown or f"Unknown recipe {name!r}."
    if ours := answer("recipe", name):
        raise RecipeError(f"{unknown} {ours[0]}", ours[1])
    names = list(dict.fromkeys(recipe.name for recipe in recipes))
    listed = f"Shipped recipes: {', '.join(names) or 'none'}. `semiseg recipes` describes each."
    raise RecipeError(f"{unknown}{nearest(name, names)}", listed)


def _folders() -> Iterator[tuple[str, Path | None]]:
    return ((package, _folder(target)) for package, target in _sources())


def _sources() -> Iterator[tuple[str, str]]:
    yield f"semiseg {version('semiseg')}", _OWN
    for point in sorted(entry_points(group=GROUP)):
        yield f"{point.dist.name} {point.dist.version}" if point.dist else "unknown ?", point.value


def _folder(target: str) -> Path | None:
    """Return the folder ``package.recipes``: inside the package, or next to its ``pyproject.toml``; None if absent."""
    package, *inside = target.split(".")
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    for root in map(Path, (spec and spec.submodule_search_locations) or ()):
        checkouts = [above for above in root.parents[:2] if (above / "pyproject.toml").is_file()]
        for place in (root, *checkouts):
            if (folder := place.joinpath(*inside)).is_dir():
                return folder
    return None
