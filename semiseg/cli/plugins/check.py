"""``semiseg plugins check``."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semiseg.cli.components import entries_named, parsed_options

if TYPE_CHECKING:
    from semiseg.errors import Problem
    from semiseg.registry import Entry
    from semiseg.testing.run_suite import Outcome, Subject

_INTENTIONS = {
    "deterministic": ("The seed of torch decides", "If it is meant to be deterministic"),
    "uses_spacing": ("Spacing is honored", "If it is meant to depend on the voxel size"),
    "own_capabilities": ("Capabilities are known", "If a strategy of yours requires this name"),
    "frozen": ("An untrained role changes", "If it is meant to keep its initial weights"),
    "counts_epochs": ("Schedules do not count epochs", "If an option is meant to be in epochs"),
}
"""For each declaration: the check that it affects, and when to declare it."""


def check(
    name: Annotated[str, typer.Argument(help="Name of an installed component.")],
    kind: Annotated[
        str | None,
        typer.Option(
            help="backbone, dataset, strategy, augmentation, metric, launcher, acquisition or observer, if several "
            "have the name."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="An option of the component: --set root=data. Repeatable."),
    ] = None,
    declare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FLAG|KEY=NAME",
            help="Declare intentions that checks cannot detect: deterministic (an augmentation without randomness), "
            "uses_spacing (a metric without unit that depends on the voxel size), own_capabilities=NAME (a backbone's "
            "capability that a strategy of yours requires), frozen=ROLE (an untrained network that keeps its initial "
            "weights), counts_epochs (a strategy with an option in epochs). Repeatable.",
        ),
    ] = None,
) -> None:
    """Run the contract suite of a component's kind on an installed component, and report what fails and why.

    Example: semiseg plugins check cps --set phi=1.0 · semiseg plugins check my_dataset --set root=data
    · semiseg plugins check my_backbone --declare own_capabilities=my_capability
    """
    entry = _only_one(entries_named(name, kind), name)
    _require_pytest()

    from semiseg.errors import ComponentError
    from semiseg.registry import load, notes_on
    from semiseg.testing.run_suite import SMALL_UNET, Subject, run_contract

    cls: Any = load(entry.kind, name)
    values = _options(cls, entry, settings or [])
    subject = Subject(entry, cls, values, _declared(entry, declare or []))
    typer.echo(f"{entry.kind} {entry}")
    for note in notes_on(entry.kind, name):
        typer.echo(f"note: {note}")
    if entry.kind == "strategy":
        _refuse_missing_capabilities(cls, entry)
        typer.echo(
            "with a small unet for each role: " + ", ".join(f"{key}={value}" for key, value in SMALL_UNET.items())
        )
    from semiseg.interfaces.component import declared_axes

    if declared := sorted(declared_axes(cls)):
        only = "" if len(declared) > 1 else " only, as the component declares in spatial_dims"
        typer.echo(f"on images with {' and '.join(map(str, declared))} spatial axes{only}")
    outcomes = run_contract(subject, _show)
    if failed := [outcome.check for outcome in outcomes if outcome.status == "FAIL"]:
        where = f"The suite is semiseg.testing.{entry.kind}; `semiseg plugins show {name}` lists the options."
        raise ComponentError(
            f"{len(failed)} of {len(outcomes)} checks failed for {entry.kind} {entry}.", where + _flags(subject, failed)
        )
    typer.echo(f"No failures in {len(outcomes)} checks.")


def _only_one(entries: "Sequence[Entry]", name: str) -> "Entry":
    from semiseg.errors import ComponentError

    if len(entries) > 1:
        fix = "Choose one: " + ", ".join(f"--kind {entry.kind}" for entry in entries)
        raise ComponentError(f"{len(entries)} components are named {name!r}.", f"{fix}.")
    return entries[0]


def _require_pytest() -> None:
    from importlib.util import find_spec

    from semiseg.errors import ComponentError

    if find_spec("pytest") is None:
        raise ComponentError("The checks require pytest, which is not installed.", "pip install 'semiseg[test]'")


def _options(cls: Any, entry: "Entry", settings: Sequence[str]) -> Mapping[str, Any]:
    """Return the given options. Raises ComponentError with all problems and the required options."""
    from pydantic import ValidationError

    from semiseg.errors import ComponentError
    from semiseg.messages import Place, explain
    from semiseg.registry import make_options

    values = parsed_options(settings)
    required = [name for name, field in cls.Options.model_fields.items() if field.is_required()]
    try:
        make_options(cls, values)
    except ValidationError as error:
        problems = explain(error, cls.Options, values, Place(entry.name, known=f"Options of {entry.name}"))
        if missing := [name for name in required if name not in values]:
            problems.append(_how_to_give(entry, missing))
        raise ComponentError(problems) from error
    return values


def _how_to_give(entry: "Entry", missing: Sequence[str]) -> "Problem":
    from semiseg.errors import Problem

    example = " ".join(f"--set {name}=…" for name in missing)
    return Problem(
        "", f"To check {entry.kind} {entry.name!r}, set {' and '.join(missing)}.",
        f"semiseg plugins check {entry.name} {example}",
    )  # fmt: skip


def _declared(entry: "Entry", declarations: Sequence[str]) -> dict[str, bool | frozenset[str]]:
    """Return the attributes of the suite; a set combines the names of all its declarations."""
    from semiseg.errors import ComponentError
    from semiseg.testing.run_suite import DECLARATIONS

    known = DECLARATIONS.get(entry.kind, {})
    written = {key: f"{key}={names}" if names else key for key, names in known.items()}
    flags, names = dict[str, bool | frozenset[str]](), dict[str, frozenset[str]]()
    for declaration in declarations:
        key, equals, name = map(str.strip, declaration.partition("="))
        if key not in known:
            fix = f"Flags of kind {entry.kind}: {', '.join(written.values()) or 'none'}."
            raise ComponentError(f"Unknown flag {key!r} in --declare.", fix)
        if bool(known[key]) != bool(equals and name):
            what = "requires a name" if known[key] else "takes no name"
            raise ComponentError(f"--declare {declaration} {what}.", f"Write --declare {written[key]}.")
        if known[key]:
            names[key] = names.get(key, frozenset()) | {name}
        else:
            flags[key] = True
    return flags | names


def _flags(subject: "Subject", failed: Sequence[str]) -> str:
    """Return how to declare what a failed check cannot detect; empty if no declaration would make it pass."""
    from semiseg.testing.run_suite import DECLARATIONS

    hints = [
        f"\n    {by_intention}, add --declare {flag}{'=' if names else ''}{names}."
        for flag, names in DECLARATIONS.get(subject.entry.kind, {}).items()
        for about, by_intention in [_INTENTIONS[flag]]
        if flag not in subject.declared and any(check.startswith(about) for check in failed)
    ]
    return "" if getattr(subject.cls, "distance", False) else "".join(hints)  # a distance has to use the spacing


def _refuse_missing_capabilities(cls: Any, entry: "Entry") -> None:
    from semiseg.errors import ComponentError
    from semiseg.registry import load

    unet: Any = load("backbone", "unet")
    if lacking := sorted(cls.requires - unet.capabilities):
        raise ComponentError(
            f"{entry.kind} {entry} requires {', '.join(lacking)} of its backbones, which the unet of the checks does"
            " not offer.",
            "In your package's tests, subclass semiseg.testing.strategy.StrategyContract with a backbone that does.",
        )


def _show(outcome: "Outcome") -> None:
    typer.echo(f"  {outcome.status:4}  {outcome.check}")
    for line in outcome.reason.splitlines():
        typer.echo(f"        {line}")
