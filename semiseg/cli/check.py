"""``semiseg check``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli.run import Overrides


def check(
    recipe: Annotated[Path, typer.Argument(help="Recipe file, or the name of a shipped recipe.")],
    overrides: Overrides = None,
    quick: Annotated[bool, typer.Option("--quick", help="Read only the files' headers.")] = False,
) -> None:
    """Check a recipe before training: its keys, split, patch, memory, and every file.

    Example: semiseg check brats_cps --set dataset.root=/data/BraTS2021
    """
    from semiseg.cli.console import make_reporter
    from semiseg.pipeline.check import check as check_recipe

    for line in check_recipe(recipe, overrides=overrides or [], quick=quick, reporter=make_reporter()):
        typer.echo(line)
