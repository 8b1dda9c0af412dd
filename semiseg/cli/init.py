"""``semiseg init``."""

from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of images and labels.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Recipe to write.")] = Path("recipe.yaml"),
) -> None:
    """Inspect a folder of images and write a recipe that runs on it.

    Example: semiseg init /data/my_scans -o my_scans.yaml
    """
    import torch

    from semiseg.errors import RecipeError
    from semiseg.init.propose import propose_recipe
    from semiseg.io.atomic import write_text

    if output.exists():
        raise RecipeError(f"{output} already exists.", "Choose another file with --output.")
    proposal = propose_recipe(folder, gpu=torch.cuda.is_available())
    write_text(output, proposal.text)
    for line in proposal.findings:
        typer.echo(line)
    typer.echo(f"\nWrote {output}. Review it, then run:\n  semiseg check {output}\n  semiseg run {output}")
