"""``semiseg init``."""

from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of images and labels.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Recipe to write.")] = Path("recipe.yaml"),
    images: Annotated[str, typer.Option(help="Folder of images in FOLDER, if its name is not recognized.")] = "",
    labels: Annotated[str, typer.Option(help="Folder of their labels in FOLDER; goes with --images.")] = "",
    unlabeled: Annotated[str, typer.Option(help="Folder of further images without labels, if there is one.")] = "",
) -> None:
    """Inspect a folder of images and write a recipe that runs on it.

    Example: semiseg init /data/my_scans -o my_scans.yaml
    """
    import torch

    from semiseg.errors import RecipeError
    from semiseg.init.propose import propose_recipe
    from semiseg.init.two_folders import named_folders
    from semiseg.io.atomic import write_text

    if bool(images) != bool(labels):
        raise RecipeError("--images and --labels go together.", "Name both folders.")
    if output.exists():
        raise RecipeError(f"{output} already exists.", "Choose another file with --output.")
    named = named_folders(folder, images, labels, unlabeled) if images or unlabeled else None
    proposal = propose_recipe(folder, gpu=torch.cuda.is_available(), named=named)
    write_text(output, proposal.text)
    for line in proposal.findings:
        typer.echo(line)
    typer.echo(f"\nWrote {output}. Review it, then run:\n  semiseg check {output}\n  semiseg run {output}")
