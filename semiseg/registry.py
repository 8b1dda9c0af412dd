"""Component lookup by the entry points of installed packages; only the requested component is imported."""

import inspect
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any, Literal

from pydantic import ValidationError

from semiseg import __version__
from semiseg.errors import ComponentError
from semiseg.interfaces.component import ComponentOptions
from semiseg.messages import Place, closest, explain
from semiseg.own_plugins import answer, names_of
from semiseg.plugin_versions import Refusal, missing_requirements, on_semiseg, refusal, stated

Kind = Literal["backbone", "dataset", "strategy", "augmentation", "metric", "launcher", "acquisition", "observer"]

GROUPS: Mapping[Kind, str] = {
    "backbone": "semiseg.backbones",
    "dataset": "semiseg.datasets",
    "strategy": "semiseg.strategies",
    "augmentation": "semiseg.augmentations",
    "metric": "semiseg.metrics",
    "launcher": "semiseg.launchers",
    "acquisition": "semiseg.acquisitions",
    "observer": "semiseg.observers",
}
RENAMED: Mapping[Kind, Mapping[str, str]] = {"augmentation": {"paper": "luque2023"}}
"""Current names by former names, of which recipes may contain both."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One installed component, read from package metadata without importing it."""

    kind: Kind
    name: str
    package: str
    version: str
    target: str
    requirements: tuple[str, ...] = ()
    """The requirements on semiseg of its package."""

    @property
    def written_for(self) -> str:
        """The versions of semiseg that its package requires, such as ``>=0.2``; empty if it states none."""
        return stated(self.requirements)

    @property
    def states_no_version(self) -> bool:
        """True if its package neither is semiseg nor states for which versions of semiseg it was written."""
        return self.package != "semiseg" and not self.written_for

    @property
    def refusal(self) -> Refusal | None:
        """The reason why it cannot be loaded, if it was written for another version of its interface."""
        return refusal(self.kind, self.package, self.requirements, __version__)

    def __str__(self) -> str:
        return f"{self.name} ({self.package} {self.version})"


def installed(kind: Kind) -> tuple[Entry, ...]:
    """Return all components of a kind, ordered by name, then package."""
    return _installed(kind, tuple((folder, _changed(folder)) for folder in sys.path))


def _changed(folder: str) -> int:
    """Return when something was last installed into a folder of ``sys.path``; 0 if there is no such folder."""
    try:
        return Path(folder or ".").stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache
def _installed(kind: Kind, path: tuple[tuple[str, int], ...]) -> tuple[Entry, ...]:
    found = {_entry(kind, point) for point in entry_points(group=GROUPS[kind])}
    return tuple(sorted(found, key=lambda entry: (entry.name, entry.package, entry.target)))


def _entry(kind: Kind, point: EntryPoint) -> Entry:
    if point.dist is None:
        return Entry(kind, point.name, "unknown", "?", point.value)
    requirements = on_semiseg(point.dist.requires or ())
    return Entry(kind, point.name, point.dist.name, point.dist.version, point.value, requirements)


def incomplete() -> Mapping[str, tuple[str, ...]]:
    """Return the installed packages with components that lack a required package, each with what it lacks."""
    packages = {entry.package for kind in GROUPS for entry in installed(kind)} - {"unknown"}
    return {package: lacking for package in sorted(packages) if (lacking := missing_requirements(package))}


def pip_install(requirements: Sequence[str]) -> str:
    """Return the command that installs requirements."""
    return f"pip install {' '.join(map(shlex.quote, requirements))}"


def current_name(kind: Kind, name: Any) -> Any:
    """Return the current name of a component, given this or a former one; anything else is returned as is."""
    return RENAMED.get(kind, {}).get(name, name) if isinstance(name, str) else name


def first_name(kind: Kind, name: Any) -> Any:
    """Return the first name of a component, which stays in the hashes of recipes; anything else is returned as is."""
    now = current_name(kind, name)
    return next((former for former, current in RENAMED.get(kind, {}).items() if current == now), name)


def find(kind: Kind, name: str, where: str = "") -> Entry:
    """Return the one component of this current or former name. ``where`` is the line in the recipe, for the message."""
    entries = installed(kind)
    # Another package's component of a former name is refused: recipe hashes do not tell it from the renamed one.
    matches = [entry for entry in entries if entry.name in {name, current_name(kind, name)}]
    if len(matches) == 1:
        return matches[0]
    place = f" ({where})" if where else ""
    if matches:
        claims = " and ".join(f"{entry.package} {entry.version}" for entry in matches)
        raise ComponentError(f"{kind} {name!r} is claimed by {claims}{place}.", "Uninstall one of the packages.")
    if ours := answer(kind, name):
        raise ComponentError(f"Unknown {kind} {name!r}{place}. {ours[0]}", ours[1])
    names = [entry.name for entry in entries]
    near = closest(name, [*names_of(kind), *names])
    hint = f" Did you mean {near!r}?" if near else ""
    if near and near not in names and (ours := answer(kind, near)):
        hint += f" {ours[0]}"
    known = ", ".join(str(entry) for entry in entries) or "none"
    raise ComponentError(f"Unknown {kind} {name!r}{place}.{hint}", f"Installed: {known}.")


def notes_on(kind: Kind, name: str) -> list[str]:
    """Return notes for the user on an installed component: a former name, a package that states no semiseg version."""
    try:
        entry = find(kind, name)
    except ComponentError:
        return []
    notes = []
    if entry.name != name:
        notes.append(f"{kind} {name!r} is now called {entry.name!r}: write the new name; the old one still works")
    if entry.states_no_version:
        notes.append(
            f"the package {entry.package} {entry.version} does not state for which version of semiseg it was written"
            " (it has no requirement such as semiseg>=0.2), so whether its components fit this one is not checked"
        )
    return notes


def load(kind: Kind, name: str | type, where: str = "") -> type:
    """Return a component's class from its name; a class is accepted as is.

    A run that was given a class from Python records it as ``module:Class`` in its recipe. It is found only if the
    caller has imported that module. This function never imports it: a recipe is data.

    Raises ComponentError if the name is unknown or ambiguous, its package was written for another version of the
    interface, the import fails, or the class is not of this kind.
    """
    if isinstance(name, str) and ":" in name:
        title, cls = f"{kind} {name!r}", _imported(kind, name, where)
    elif isinstance(name, str):
        entry = find(kind, name, where)
        title = f"{kind} {entry}"
        if refused := entry.refusal:
            place = f" ({where})" if where else ""
            raise ComponentError(f"{title} cannot be used{place}: {refused.what}.", refused.fix)
        cls = _import(entry, title)
    else:
        title, cls = f"{kind} {getattr(name, '__name__', name)!r}", name
    wanted = interface(kind)
    if not (inspect.isclass(cls) and issubclass(cls, wanted)):
        raise ComponentError(
            f"{title} is not a {wanted.__name__}: it is {cls!r}.",
            f"It has to be a subclass of {wanted.__module__}.{wanted.__name__}.",
        )
    if not issubclass(getattr(cls, "Options", object), ComponentOptions):
        raise ComponentError(
            f"{title} has options that are not ComponentOptions.",
            "Nest `class Options(ComponentOptions)` in the class.",
        )
    return cls


def interface(kind: Kind) -> type:
    """Return the base class of a component kind. For backbones, strategies and acquisitions this imports torch."""
    cls: type = _resolve(f"semiseg.interfaces.{kind}:{kind.capitalize()}")
    return cls


def _imported(kind: Kind, name: str, where: str) -> Any:
    module, _, qualified = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualified.split("."):
        found = getattr(found, part, None)
    if found is None:
        place = f" ({where})" if where else ""
        raise ComponentError(
            f"The {kind} {name!r}{place} was given as a class from Python, which this program has not imported.",
            f"Import {module} first and call semiseg from Python, or make the class a plugin: `semiseg new {kind}`.",
        )
    return found


def _import(entry: Entry, title: str) -> Any:
    try:
        with _output_apart():
            return _resolve(entry.target)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # report any failure of a third-party module, even sys.exit, as that module's
        lacking = missing_requirements(entry.package) if isinstance(error, ModuleNotFoundError) else ()
        if lacking:
            what = f"{title} cannot be imported: {_failure(error)}. It requires {', '.join(lacking)}, not installed."
            raise ComponentError(what, f"Install it: {pip_install(lacking)}") from error
        raise ComponentError(
            f"{title} cannot be imported: {_failure(error)}.",
            f"Its entry point is {entry.target!r}; `pip install --upgrade {entry.package}` may fix it.",
        ) from error


def _failure(error: BaseException) -> str:
    text = "" if error.args == (None,) else str(error)  # from sys.exit()
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"it ends the process ({said})" if isinstance(error, SystemExit) else said


@contextmanager
def _output_apart() -> Iterator[None]:
    """Redirect prints to standard error within the block: a program may parse the command's standard output."""
    if current_thread() is not main_thread():  # the streams are shared by all threads
        yield
        return
    out, error, kept = sys.__stdout__, sys.__stderr__, -1
    with suppress(AttributeError, OSError, ValueError):  # no file descriptors to redirect
        kept = os.dup(out.fileno())  # type: ignore[union-attr]
        _flush()
        os.dup2(error.fileno(), out.fileno())  # type: ignore[union-attr]  # for what Python does not print itself
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if kept >= 0:
            _flush()
            os.dup2(kept, out.fileno())  # type: ignore[union-attr]
            os.close(kept)


def _flush() -> None:
    for stream in (sys.stdout, sys.__stdout__):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()  # type: ignore[union-attr]


def _resolve(target: str) -> Any:
    module, _, attribute = target.partition(":")
    found: Any = import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def make_options(cls: type, values: Mapping[str, Any]) -> ComponentOptions:
    """Return a component's validated options. Raises pydantic's ValidationError; the recipe adds line numbers."""
    options: ComponentOptions = cls.Options.model_validate(dict(values))  # type: ignore[attr-defined]
    return options


def create(kind: Kind, component: Any, values: Mapping[str, Any] | None = None) -> Any:
    """Create a component from its name or class; an instance is returned as is.

    Not for strategies, which need networks, and launchers, which need the folder of their study.

    Raises ComponentError as ``load`` does, and with every invalid option.
    """
    if isinstance(component, interface(kind)):
        return component
    cls, values = load(kind, component), values or {}
    try:
        return cls(make_options(cls, values))
    except ValidationError as error:
        name = component if isinstance(component, str) else cls.__name__
        place = Place(name, known=f"Options of {name}")
        raise ComponentError(explain(error, cls.Options, values, place)) from error  # type: ignore[attr-defined]
