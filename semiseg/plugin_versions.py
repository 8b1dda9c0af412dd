"""Requirements of plugin packages: the semiseg version that one was written for (ADR 0011), and what one lacks."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

INTERFACES: Mapping[str, str] = {
    "backbone": "0.2",
    "dataset": "0.2",
    "strategy": "0.2",
    "augmentation": "0.2",
    "metric": "0.2",
    "launcher": "0.2",
    "acquisition": "0.2",
    "observer": "0.2",
}
"""For each kind of component, the semiseg version in which its interface last changed incompatibly."""
_ON_SEMISEG = re.compile(r"\s*semiseg\s*([\[(<>=!~;@]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why a component cannot be loaded, and the fix."""

    what: str
    fix: str


def on_semiseg(requirements: Iterable[str]) -> tuple[str, ...]:
    """Return those of a distribution's requirements (``Requires-Dist``) that concern semiseg."""
    return tuple(text for text in requirements if _ON_SEMISEG.match(text))


def stated(requirements: tuple[str, ...]) -> str:
    """Return the versions that the requirements allow, such as ``<0.4,>=0.2``; empty if they state no bound."""
    versions = _versions(requirements)
    return str(versions) if any(_bounds(versions)) else ""


def refusal(kind: str, package: str, requirements: tuple[str, ...], installed: str) -> Refusal | None:
    """Return why a package's components of a kind do not fit the installed semiseg; None if they do.

    A lower bound states the version that the package was written for: the kind's interface must not have changed since,
    unless an upper bound states that later versions were tested. Packages without any bound are never refused.
    """
    versions = _versions(requirements)
    lowest, has_upper = _bounds(versions)
    wanted, changed = str(versions), INTERFACES[kind]
    if not lowest and not has_upper:
        return None
    if not versions.contains(installed, prereleases=True):
        newer = f"`pip install --upgrade semiseg {package}` installs versions that fit each other."
        return Refusal(f"it requires semiseg{wanted}, and version {installed} is installed", newer)
    if has_upper or not lowest or _at_least(lowest, changed):
        return None
    return Refusal(
        f"it was written for semiseg {lowest} (it requires semiseg{wanted}), the {kind} interface changed in {changed},"
        f" and version {installed} is installed",
        f"`pip install --upgrade {package}`, or `pip install 'semiseg<{changed}'`. Its author adapts it and requires"
        f" semiseg>={changed}.",
    )


def missing_requirements(package: str) -> tuple[str, ...]:
    """Return those of an installed package's requirements of which no version is installed, without extras."""
    needed = _needed(requires(package) or ())
    return tuple(f"{one.name}{one.specifier}" for one in needed if installed_version(one.name) is None)


def installed_version(package: str) -> str | None:
    """Return the version of an installed package; None if there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@lru_cache
def _versions(requirements: tuple[str, ...]) -> "SpecifierSet":
    """Return the versions that hold without extras and on this platform."""
    from packaging.specifiers import SpecifierSet

    versions = SpecifierSet()
    for requirement in _needed(requirements):
        versions &= requirement.specifier
    return versions


def _needed(requirements: Iterable[str]) -> Iterator["Requirement"]:
    """Yield the requirements that hold without extras and on this platform."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # pip builds no such package
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _bounds(versions: "SpecifierSet") -> tuple[str, bool]:
    """Return the highest lower bound, empty if there is none, and whether there is an upper bound."""
    from packaging.version import Version

    lower = [one.version.removesuffix(".*") for one in versions if one.operator in (">=", ">", "~=", "==")]
    return max(lower, key=Version, default=""), any(one.operator in ("<", "<=", "~=", "==", "===") for one in versions)


def _at_least(version: str, other: str) -> bool:
    from packaging.version import Version

    # A pre-release has the interface of its release.
    return Version(Version(version).base_version) >= Version(other)
