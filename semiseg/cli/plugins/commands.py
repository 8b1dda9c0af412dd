"""``semiseg plugins``."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from semiseg.cli.components import entries_named
from semiseg.cli.plugins.check import check

if TYPE_CHECKING:
    from semiseg.registry import Entry

app = typer.Typer(invoke_without_command=True)
app.command()(check)


@app.callback()
def plugins(context: typer.Context) -> None:
    """List the installed components of every kind, with their packages, without importing them.

    Example: semiseg plugins · semiseg plugins show cps · semiseg plugins check cps
    """
    from semiseg.own_plugins import not_installed
    from semiseg.recipe.component_docs import summary
    from semiseg.registry import GROUPS, installed

    if context.invoked_subcommand:
        return
    found = {kind: installed(kind) for kind in GROUPS}
    entries = [entry for of_kind in found.values() for entry in of_kind]
    names = max((len(entry.name) for entry in entries), default=0)
    packages = max((len(f"{entry.package} {entry.version}") for entry in entries), default=0)
    for kind, of_kind in found.items():
        typer.echo(f"{kind}" if of_kind else f"{kind}: none")
        for entry in of_kind:
            package = f"{entry.package} {entry.version}"
            typer.echo(f"  {entry.name:{names}}  {package:{packages}}  {summary(entry)}".rstrip())
        for package, missing in not_installed(kind, {entry.name for entry in of_kind}):
            typer.echo(f"  not installed: {', '.join(missing)} ({package})")
    for line in _packages(entries):
        typer.echo(line)
    typer.echo(
        "\n`semiseg plugins show NAME` lists a component's options, `semiseg plugins check NAME` tests it with pytest."
    )


def _packages(entries: "Iterable[Entry]") -> Iterator[str]:
    """Yield the versions of semiseg that plugin packages were written for, and what is refused for that reason."""
    plugins = [entry for entry in entries if entry.package != "semiseg"]
    packages = {f"{entry.package} {entry.version}": entry for entry in plugins}
    if not packages:
        return
    yield "Versions of semiseg that the packages were written for"
    width = max(map(len, packages))
    for package, entry in packages.items():
        yield f"  {package:{width}}  {entry.written_for or 'not stated, and not checked: add semiseg>=0.2, say'}"
    for entry in plugins:
        if refused := entry.refusal:
            yield f"  {entry.kind} {entry} cannot be used: {refused.what}. {refused.fix}"


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a component.")],
    kind: Annotated[
        str | None,
        typer.Option(
            help="backbone, dataset, strategy, augmentation, metric, launcher, acquisition or observer; by default all."
        ),
    ] = None,
) -> None:
    """Show a component: its description, its package, and its options.

    Example: semiseg plugins show cps --kind strategy
    """
    for number, entry in enumerate(entries_named(name, kind)):
        if number:
            typer.echo()
        _show(entry)


def _show(entry: "Entry") -> None:
    from semiseg.recipe.component_docs import docstring, only_for, options, presets

    text, only = docstring(entry), only_for(entry)  # before any output: for a broken component only its error is shown
    typer.echo(f"{entry.kind} {entry.name}\n{entry.package} {entry.version}, {entry.target}\n\n{text}\n")
    if only:
        typer.echo(f"Images: {only}.")
    rows = list(options(entry))
    typer.echo("Options:" if rows else "No options.")
    for option in rows:
        default = "required" if option.default == "required" else f"default {option.default}"
        typer.echo(f"  {option.name}: {option.type} ({default})")
        if option.description:
            typer.echo(f"      {option.description}")
    for name, values in presets(entry).items():
        given = ", ".join(f"{option}={value}" for option, value in values.items()) or "the defaults"
        typer.echo(f"Preset {name} (preset={name}): {given}")
