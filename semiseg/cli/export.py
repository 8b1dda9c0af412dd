"""``semiseg export``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli.run import Overrides

app = typer.Typer(no_args_is_help=True)


@app.callback()
def export() -> None:
    """Write data or predictions in the form of another tool.

    Example: semiseg export nnunet my_scans.yaml -o nnUNet_raw/
    """


@app.command()
def nnunet(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RECIPE|RUN|PREDICTIONS",
            help="Recipe file or the name of a shipped recipe, to write its dataset; or a run folder or an output "
            "folder of `semiseg predict`, to write its predictions.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Of a recipe: nnUNet_raw, or a new folder DatasetXXX_NAME. Otherwise: a new folder."
        ),
    ],
    overrides: Overrides = None,
    number: Annotated[int | None, typer.Option("--id", help="Of a recipe: XXX, by default 501.")] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of a recipe: NAME, by default that of the recipe.")
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Of a recipe: link .nii.gz files that can stay as they are.")
    ] = False,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", help="Of a run: best (default) or last predictions.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result and errors.")] = False,
) -> None:
    """Write a recipe's dataset as a raw dataset of nnU-Net v2, or predictions with the label values of that dataset.

    Labeled and validation cases are in imagesTr, with the recipe's split as fold 0; test cases are in imagesTs and
    labelsTs, unlabeled cases in imagesUn.

    Example: semiseg export nnunet my_scans.yaml -o nnUNet_raw/ --id 501 · semiseg export nnunet runs/a -o predictions/
    """
    from semiseg.cli.console import make_reporter
    from semiseg.errors import ArgumentError
    from semiseg.export.nnunet_predictions import export_predictions, is_predictions

    if is_predictions(source):
        given = {"--id": number, "--name": name, "--link": link or None, "--set": overrides}
        if extra := [option for option, value in given.items() if value is not None]:
            raise ArgumentError(f"{', '.join(extra)}: of no use with predictions.", "Leave it out, or give a recipe.")
        folder = export_predictions(source, output, checkpoint=checkpoint, reporter=make_reporter(quiet))
        typer.echo(f"Wrote {folder}. Score it with nnU-Net:")
        typer.echo(
            f"  nnUNetv2_evaluate_folder LABELS {folder} -djfile {folder}/dataset.json -pfile {folder}/plans.json"
        )
        return
    from semiseg.export.nnunet_dataset import export_dataset
    from semiseg.recipe.load import load_recipe

    if source.is_dir():
        what = f"{source} is neither a run folder nor an output folder of `semiseg predict`."
        raise ArgumentError(what, "To write a dataset, give a recipe; `semiseg init FOLDER` writes one.")
    if checkpoint is not None:
        raise ArgumentError("--checkpoint: of no use with a recipe.", "Leave it out, or give a run folder.")
    recipe = load_recipe(source, overrides or [])
    home = export_dataset(recipe, output, number=number, name=name, link=link, reporter=make_reporter(quiet))
    typer.echo(f"Wrote {home}. Check it with nnU-Net:")
    typer.echo(
        f"  nnUNet_raw={home.parent} nnUNetv2_plan_and_preprocess -d {int(home.name[7:10])} --verify_dataset_integrity"
    )
