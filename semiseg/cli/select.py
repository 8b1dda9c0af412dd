"""``semiseg select``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from semiseg.comparison.selection import Agreement

_SHOWN = 10


def select(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted label files, to be trained on.")],
    beside: Annotated[
        list[Path],
        typer.Option(
            help="Folder of other predictions of the same images: of another fold's model, or of the round before. "
            "Repeatable."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the chosen files and selection.csv.")],
    share: Annotated[
        float | None, typer.Option(help="Fraction of the cases to choose: 0.8 takes four of five.")
    ] = None,
    least: Annotated[float | None, typer.Option(help="Lowest mean Dice between predictions to choose.")] = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="VALUE=NAME,…", help="Names of the stored values, as in `semiseg evaluate`."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Cases to compare in parallel; by default one per core.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the written folder and errors.")] = False,
) -> None:
    """Choose the cases whose predictions agree best, as pseudo-labels to train on.

    Agreement is the mean Dice between the predictions of a case, over classes and over the other folders. Confidence
    maps are taken with their label maps. The chosen folder is for `dataset.pseudo_labels`.

    Example: semiseg select round2/ --beside round1/ --share 0.8 -o chosen/
    """
    from semiseg.cli.console import make_reporter
    from semiseg.comparison.selection import select as select_cases
    from semiseg.scoring.labels import parse_labels

    found = select_cases(
        predictions,
        beside,
        output,
        share=share,
        least=least,
        labels=None if labels is None else parse_labels(labels),
        workers=workers,
        reporter=make_reporter(quiet),
    )
    if quiet:
        typer.echo(str(output))
    else:
        _show(found, output)


def _show(found: "Sequence[Agreement]", output: Path) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    chosen = [one for one in found if one.chosen]
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, title="Least agreement", title_justify="left")
    table.add_column("case", overflow="fold")
    for title in ("agreement", "lowest class", "chosen"):
        table.add_column(title, justify="right")
    for one in found[: -_SHOWN - 1 : -1]:
        name, value = min(one.by_class.items(), key=lambda item: item[1], default=("–", 1.0))
        table.add_row(escape(one.case), f"{one.mean:.3f}", escape(f"{name} {value:.3f}"), "yes" if one.chosen else "no")
    console = Console()
    console.print(table)
    lowest = f"{len(chosen)} of {len(found)} cases chosen, with an agreement of at least {chosen[-1].mean:.3f}."
    for line in (lowest, f"Wrote {output} and {output / 'selection.csv'}"):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
