"""``semiseg suggest``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli.predict import memory_limit


def suggest(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folder with trained weights; several predict together."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder, or that of the same call.")],
    by: Annotated[str, typer.Option("--by", metavar="RULE", help="Rule; `semiseg plugins` lists them (acquisition).")],
    images: Annotated[
        Path | None,
        typer.Option("--images", "-i", help="Folder of new images; by default the runs' own unlabeled cases."),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Number of patients; all cases of one are suggested.")] = 5,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="An option of the rule: --set pool=8. Repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of rules that draw at random.")] = 0,
    slices: Annotated[int, typer.Option(min=1, help="The most slices of a volume to name as worth drawing first.")] = 5,
    checkpoint: Annotated[str, typer.Option("--checkpoint", help="best or last.")] = "best",
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory", metavar="GIB", help="Limit of memory per image, or auto (4); by default as in the recipe."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result and errors.")] = False,
) -> None:
    """Choose the unlabeled cases that are worth labeling next, and write proposals to correct.

    The folder holds suggestions.csv, a page (index.html), the images, a proposal per case for 3D Slicer, and maps of
    uncertainty. To resume, run the same command again. Put finished labels into its folder labels, then: semiseg adopt.

    Example: semiseg suggest runs/brats_cps -n 5 --by disagreement -o round_1/
    """
    from semiseg.cli.components import parsed_options
    from semiseg.cli.console import make_reporter
    from semiseg.suggestion.suggest import suggest as suggest_cases

    found = suggest_cases(
        runs,
        output,
        by=by,
        n=n,
        images=images,
        options=parsed_options(settings or []),
        seed=seed,
        slices=slices,
        checkpoint=checkpoint,
        memory_gib=None if memory is None else memory_limit(memory),
        reporter=make_reporter(quiet),
    )
    typer.echo(repr(found))
    typer.echo(f"Page: {found.folder / 'index.html'}")
