"""``semiseg recipes``."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from semiseg.recipe.shipped import Shipped

app = typer.Typer(invoke_without_command=True)


@app.callback()
def recipes(context: typer.Context) -> None:
    """List the recipes of installed packages, or show one.

    Every command that takes a recipe accepts these names. A file of that name in the current folder takes precedence.

    Example: semiseg recipes · semiseg recipes show quickstart > my.yaml
    """
    from semiseg.recipe.shipped import by_package

    if context.invoked_subcommand:
        return
    found = by_package()
    if sys.stdout.isatty():
        _show_tables(found)
    else:
        for line in _lines(found):
            typer.echo(line)
    typer.echo(
        "\n`semiseg run NAME` runs a recipe, `semiseg study run NAME` a study; `semiseg check NAME` checks first."
    )
    typer.echo("`semiseg recipes show NAME > my.yaml` makes a copy to edit.")


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name of a shipped recipe.")]) -> None:
    """Print a shipped recipe unchanged.

    Example: semiseg recipes show quickstart > my.yaml
    """
    from semiseg.recipe.shipped import find_shipped

    typer.echo(find_shipped(name).path.read_bytes(), nl=False)


def _about(recipe: "Shipped") -> tuple[str, str]:
    """Return a recipe's purpose and the data that it needs, as far as its header has them."""
    from semiseg.recipe.header import first_sentence, read_header

    header = read_header(recipe.path.read_text(encoding="utf-8", errors="replace"))
    purpose = header.get("Purpose") or header.get("Title", "")
    return first_sentence(purpose), first_sentence(header.get("Data", ""))


def _lines(found: "Mapping[str, Sequence[Shipped]]") -> Iterator[str]:
    """Yield a line for each recipe, below the package that it is from."""
    width = max((len(recipe.name) for of_one in found.values() for recipe in of_one), default=0)
    for package, of_one in found.items():
        yield package if of_one else f"{package}: none"
        for recipe in of_one:
            purpose, data = _about(recipe)
            yield f"  {recipe.name:{width}}  {purpose}" + (f"; data: {data}" if data else "")


def _show_tables(found: "Mapping[str, Sequence[Shipped]]") -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    width = max((len(recipe.name) for of_one in found.values() for recipe in of_one), default=0)
    for package, of_one in found.items():
        title = escape(package if of_one else f"{package}: none")
        table = Table(box=SIMPLE, title=title, title_justify="left", padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("recipe", no_wrap=True, min_width=width)
        table.add_column("purpose", ratio=1)
        table.add_column("data", ratio=1, overflow="fold")
        for recipe in of_one:
            table.add_row(escape(recipe.name), *map(escape, _about(recipe)))
        console.print(table)
