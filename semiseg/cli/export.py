"""``semiseg export``."""

from pathlib import Path
from typing import Annotated

import typer

from semiseg.cli.run import Overrides

app = typer.Typer(no_args_is_help=True)


@app.callback()
def export() -> None:
    """Write data, predictions or a trained model in the form of another tool.

    Example: semiseg export nnunet my_scans.yaml -o nnUNet_raw/ · semiseg export onnx runs/first -o first_onnx/
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


Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]
Folder = Annotated[Path, typer.Option("--output", "-o", help="A new folder.")]
Checkpoint = Annotated[str, typer.Option("--checkpoint", help="best or last weights.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result and errors.")]


@app.command()
def onnx(run: Run, output: Folder, checkpoint: Checkpoint = "best", quiet: Quiet = False) -> None:
    """Write a run's networks as ONNX, with their weights as safetensors and a description in description.json.

    The model maps preprocessed patches to probabilities; description.json says how an image is preprocessed and how
    windows are combined. It is compared with torch after it is written. Needs semiseg[onnx].

    Example: semiseg export onnx runs/first -o first_onnx/
    """
    from semiseg.cli.console import make_reporter
    from semiseg.export.portable.formats import ONNX, export_onnx

    apart = export_onnx(run, output, checkpoint=checkpoint, reporter=make_reporter(quiet))
    typer.echo(f"Wrote {output / ONNX}: its probabilities differ from torch's by at most {apart:.0e}.")


@app.command()
def torchscript(run: Run, output: Folder, checkpoint: Checkpoint = "best", quiet: Quiet = False) -> None:
    """Write a run's networks as TorchScript, with their weights as safetensors and a description in description.json.

    As for ONNX: the model maps preprocessed patches to probabilities.

    Example: semiseg export torchscript runs/first -o first_ts/
    """
    from semiseg.cli.console import make_reporter
    from semiseg.export.portable.formats import TORCHSCRIPT, export_torchscript

    apart = export_torchscript(run, output, checkpoint=checkpoint, reporter=make_reporter(quiet))
    typer.echo(f"Wrote {output / TORCHSCRIPT}: its probabilities differ from torch's by at most {apart:.0e}.")


@app.command()
def huggingface(run: Run, output: Folder, checkpoint: Checkpoint = "best", quiet: Quiet = False) -> None:
    """Write a run as a repository for the Hugging Face Hub, which `semiseg predict` reads like a run folder.

    With model.safetensors, config.json and a model card, without names of cases and paths of data.

    Example: semiseg export huggingface runs/first -o first_hf/ && semiseg predict first_hf/ -i new/ -o predictions/
    """
    from semiseg.cli.console import make_reporter
    from semiseg.export.portable.huggingface import CARD, export_huggingface

    home = export_huggingface(run, output, checkpoint=checkpoint, reporter=make_reporter(quiet))
    typer.echo(f"Wrote {home}. Complete {home / CARD}: the license, and what you know of the model's limits.")
