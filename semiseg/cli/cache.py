"""``semiseg cache``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from semiseg.pipeline.cache import Kept

app = typer.Typer(invoke_without_command=True)
Store = Annotated[Path | None, typer.Option("--store", help="Use a recipe's preprocessing.store instead of the cache.")]
_TITLES = {"case": "preprocessed", "data": "generated data", "notes": "notes on files", "leftover": "unfinished"}


@app.callback()
def cache(context: typer.Context, store: Store = None) -> None:
    """List the cache's contents, all of which can be rebuilt: location, dataset, size, and last use.

    Example: semiseg cache · semiseg cache prune --older-than 30
    """
    from semiseg.pipeline.cache import look

    if context.invoked_subcommand:
        context.obj = store
        return
    typer.echo(_where(store))
    for line in _lines(look(store)):
        typer.echo(line)


@app.command()
def prune(
    context: typer.Context,
    older_than: Annotated[
        float | None, typer.Option("--older-than", metavar="DAYS", min=0, help="Remove entries unused for DAYS days.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all entries.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    store: Store = None,
) -> None:
    """Remove entries that were not used for some days, or all of them, except those in use by a running process.

    The entries are listed, and you are asked to confirm. Runs rebuild what they need.

    Example: semiseg cache prune --older-than 30
    """
    import sys

    from semiseg.errors import ArgumentError
    from semiseg.pipeline.cache import look, old, remove

    if (older_than is None) != everything:
        raise ArgumentError("Specify which entries to remove.", "Give either --older-than DAYS or --all.")
    store = store or context.obj
    typer.echo(_where(store))
    found = look(store)
    chosen = found if older_than is None else old(found, older_than)
    free, held = [part for part in chosen if not part.holder], [part for part in chosen if part.holder]
    for holder in dict.fromkeys(part.holder for part in held):
        parts = [part for part in held if part.holder == holder]
        typer.echo(f"Kept: {_size(parts)}, in use by {holder}.")
    if not free:
        typer.echo("Nothing to remove.")
        return
    typer.echo(f"To remove: {_size(free)}.")
    for line in _lines(free, total=False):
        typer.echo(line)
    if not yes:
        if not sys.stdin.isatty():
            raise ArgumentError(
                "Nothing was removed: confirmation requires a terminal.", "To remove without asking, add --yes."
            )
        if not typer.confirm("Remove these entries?"):
            typer.echo("Nothing was removed.")
            return
    removed = remove(free)
    typer.echo(f"Removed: {_size(removed)}." + ("" if len(removed) == len(free) else f" Kept: {_left(free, removed)}"))


def _left(free: "Sequence[Kept]", removed: "Sequence[Kept]") -> str:
    return f"{len(free) - len(removed)} that came into use or could not be removed."


def _where(store: Path | None) -> str:
    import os

    from semiseg.io.cache import cache_folder

    if store is not None:
        return f"Case store: {store.absolute()}"
    return f"Cache: {cache_folder()} ({'set by SEMISEG_CACHE' if os.environ.get('SEMISEG_CACHE') else 'default'})"


def _lines(kept: "Sequence[Kept]", total: bool = True) -> Iterator[str]:
    """Yield a line for each kind and dataset."""
    from datetime import datetime

    from semiseg.messages import some
    from semiseg.pipeline.cache import by_dataset

    rows = [("kind", "dataset", "entries", "size", "last used", "recipes")]
    for (kind, dataset), parts in by_dataset(kept).items():
        last = datetime.fromtimestamp(max(part.used for part in parts)).strftime("%Y-%m-%d %H:%M")
        recipes = some(sorted({name for part in parts for name in part.recipes}), 3)
        name = dataset or ("unknown" if kind == "case" else "")
        in_use = "in use" if any(part.holder for part in parts) else last
        rows.append((_TITLES[kind], name, str(len(parts)), _bytes(parts), in_use, recipes))
    if len(rows) > 1:
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            yield ("  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))).rstrip()
    if total:
        yield f"Total: {_size(kept)}." if kept else "Empty."


def _size(parts: "Sequence[Kept]") -> str:
    return f"{len(parts)} {'entry' if len(parts) == 1 else 'entries'}, {_bytes(parts)}"


def _bytes(parts: "Sequence[Kept]") -> str:
    count = float(sum(part.size for part in parts))
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB" if count < 1000 else f"{count:.0f} GiB"
