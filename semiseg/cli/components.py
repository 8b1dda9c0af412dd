"""Kinds and components by their names on the command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from semiseg.registry import Entry, Kind


def kind_named(text: str) -> "Kind":
    """Return the kind of component of this name. Raises ComponentError with the known kinds."""
    from semiseg.errors import ComponentError
    from semiseg.messages import nearest
    from semiseg.registry import GROUPS

    kinds = {str(kind): kind for kind in GROUPS}
    if text not in kinds:
        raise ComponentError(f"Unknown kind {text!r}.{nearest(text, kinds)}", f"Kinds: {', '.join(kinds)}.")
    return kinds[text]


def entries_named(name: str, kind: str | None = None) -> "list[Entry]":
    """Return the installed components of this name, at most one per kind. Raises ComponentError with known names."""
    from semiseg.errors import ComponentError
    from semiseg.messages import nearest
    from semiseg.own_plugins import answer
    from semiseg.registry import GROUPS, current_name, find, installed

    if kind is not None:
        return [find(kind_named(kind), name)]
    found = [k for k in GROUPS if any(entry.name in (name, current_name(k, name)) for entry in installed(k))]
    found = found or [k for k in GROUPS if answer(k, name)]  # find raises an error that names its package
    if not found:
        names = {entry.name: f"{entry.name} ({k})" for k in GROUPS for entry in installed(k)}
        raise ComponentError(
            f"Unknown component {name!r}.{nearest(name, names)}", f"Installed: {', '.join(names.values()) or 'none'}."
        )
    return [find(k, name) for k in found]


def parsed_options(settings: "Sequence[str]") -> dict[str, Any]:
    """Return a component's options from ``--set OPTION=VALUE``. Raises ComponentError with all problems."""
    from semiseg.errors import ComponentError, Problem, SemisegError, raise_all
    from semiseg.recipe.yaml import parse_yaml

    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for setting in settings:
        key, equals, text = setting.partition("=")
        try:
            if not (key.strip() and equals):
                raise ComponentError(f"--set {setting} is not OPTION=VALUE.", "Example: --set root=data")
            values[key.strip()] = parse_yaml(text, f"--set {setting}", lines=False)[0]
        except SemisegError as error:
            problems += error.problems
    raise_all(problems, ComponentError)
    return values
