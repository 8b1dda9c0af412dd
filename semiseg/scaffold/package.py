"""A new package with one component, its entry point, tests and a recipe."""

import builtins
import json
import keyword
import re
from collections.abc import Iterator
from pathlib import Path
from string import Template

from semiseg import __version__
from semiseg.errors import ComponentError, Problem, StorageError, raise_all
from semiseg.io.atomic import make_folder
from semiseg.registry import GROUPS, Kind, installed
from semiseg.scaffold.content import substitutions

TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".tmpl"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_YAML_WORDS = {"null", "true", "false"}
_ELSEWHERE = "Choose another folder with --output."


def write_package(kind: Kind, name: str, folder: Path, author: str = "") -> list[Path]:
    """Write a package with a small working component into a folder that is new or empty.

    Args:
        kind: kind of the component.
        name: its name in recipes: lowercase letters, digits and single underscores.
        folder: the folder to write to; its parents are created.
        author: a person's name for pyproject.toml; omitted if empty.

    Returns:
        The files, relative to the folder, sorted.

    Raises:
        ComponentError: with all problems of the name and the folder; nothing is written then.
        StorageError: if the folder cannot be read, created or written to.
    """
    raise_all([*_name_problems(kind, name), *_folder_problems(folder)], ComponentError)
    files = dict(render(kind, name, author))
    for path, text in files.items():
        make_folder((folder / path).parent)
        try:
            (folder / path).write_text(text, encoding="utf-8")
        except OSError as error:
            what = f"{folder / path} cannot be written: {error.strerror or error}."
            raise StorageError(what, _ELSEWHERE) from error
    return sorted(files)


def render(kind: Kind, name: str, author: str = "") -> Iterator[tuple[Path, str]]:
    """Yield the files of a package, relative to its folder, with their text."""
    package = f"semiseg_{name}"
    values = {
        **substitutions(kind, name),
        "kind": kind,
        "name": name,
        "package": package,
        "class_name": class_name(kind, name),
        "distribution": package.replace("_", "-"),
        "group": GROUPS[kind],
        "version": __version__,
        "authors": f"authors = [{{name = {json.dumps(author)}}}]\n" if author else "",
    }
    for part in ("common", kind):
        for template in sorted((TEMPLATES / part).rglob(f"*{_SUFFIX}")):
            path = template.relative_to(TEMPLATES / part).as_posix().removesuffix(_SUFFIX)
            path = path.replace("PACKAGE", package).replace("NAME", name)
            yield Path(path), Template(template.read_text(encoding="utf-8")).substitute(values)


def class_name(kind: Kind, name: str) -> str:
    """Return the name in CamelCase, with the kind appended if the example already uses the plain name."""
    plain = "".join(word.capitalize() for word in name.split("_"))
    texts = (path.read_text(encoding="utf-8") for path in (TEMPLATES / kind).rglob(f"*.py{_SUFFIX}"))
    taken = {word for text in texts for word in re.findall(r"\w+", text)} | set(dir(builtins)) | set(keyword.kwlist)
    return plain + kind.capitalize() if plain in taken else plain


def _name_problems(kind: Kind, name: str) -> Iterator[Problem]:
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
        hint = f" For example: {near!r}." if _NAME.fullmatch(near) else ""
        fix = f"Use lowercase letters, digits and single underscores, starting with a letter.{hint}"
        yield Problem("", f"{name!r} is not a valid component name.", fix)
    if name in _YAML_WORDS:
        yield Problem("", f"{name!r} is not a valid component name: in YAML it is not text.", "Choose another.")
    for entry in installed(kind):
        if entry.name == name:
            what = f"A {kind} {name!r} is already installed, from {entry.package} {entry.version}."
            yield Problem("", what, "Choose another name: names must be unique.")


def _folder_problems(folder: Path) -> Iterator[Problem]:
    try:
        taken = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    except OSError as error:
        raise StorageError(f"{folder} cannot be used: {error.strerror or error}.", _ELSEWHERE) from error
    if taken:
        yield Problem(
            "", f"{folder} already exists.", "Choose a new or empty folder with --output; nothing is overwritten."
        )
