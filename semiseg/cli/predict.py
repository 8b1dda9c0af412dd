"""``semiseg predict``."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def memory_limit(text: str) -> float | Literal["auto"]:
    """Return a limit of memory from the command line: a number of GiB, or auto."""
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number nor auto.") from None


def predict(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folder with trained weights; of several, the mean is predicted."),
    ],
    images: Annotated[
        list[Path],
        typer.Option(
            "--images", "-i", help="Folder of cases, or the files of one case, in the order of the model's modalities."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for this model's predictions, or a new NAME.nii.gz (NAME.png) for one case."
        ),
    ],
    checkpoint: Annotated[str, typer.Option("--checkpoint", help="best or last.")] = "best",
    mirror: Annotated[
        bool | None,
        typer.Option(
            "--mirror/--no-mirror",
            help="Predict the mean over all flips along the axes that training flipped; by default as in the recipe.",
        ),
    ] = None,
    postprocess: Annotated[
        str | None,
        typer.Option(
            "--postprocess",
            help="none, largest_component of each class, or auto: of the classes that it improves on validation cases;"
            " by default as in the recipe.",
        ),
    ] = None,
    probabilities: Annotated[
        str | None,
        typer.Option(
            "--probabilities",
            help="Also write probabilities of each class, npz or nifti, or that of the predicted one: confidence.",
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory", metavar="GIB", help="Limit of memory per image, or auto (4); by default as in the recipe."
        ),
    ] = None,
    quality: Annotated[
        bool,
        typer.Option(
            "--quality/--no-quality",
            help="Write quality.csv: the Dice to expect of every case and class, with a 90 % interval.",
        ),
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the written files and errors.")] = False,
) -> None:
    """Predict new images on their own grids, with the dataset's label values; the training data are not needed.

    To resume, run the same command again. An output folder with files of other runs, of another checkpoint or with
    other settings is refused. Unusable images are skipped and reported at the end.

    Example: semiseg predict runs/brats_cps -i new_scans/ -o predictions/
    """
    from semiseg.cli.console import make_reporter
    from semiseg.prediction.predict import predict as predict_images

    folders, files = _parted(runs, images)
    predicted = predict_images(
        folders,
        files,
        output,
        checkpoint=checkpoint,
        mirror=mirror,
        postprocess=postprocess,
        probabilities=probabilities,
        memory_gib=None if memory is None else memory_limit(memory),
        quality=quality,
        reporter=make_reporter(quiet),
    )
    for path in predicted:
        typer.echo(path)


def _parted(given: list[Path], images: list[Path]) -> tuple[list[Path], list[Path]]:
    """Return the runs and the images: image files that follow the first one of ``-i`` belong to it."""
    from semiseg.io.names import image_stem

    files = [path for path in given if image_stem(path) and not path.is_dir()]
    if files and len(images) > 1:
        raise typer.BadParameter("Give all image files after one -i, or each after its own -i: their order matters.")
    return [path for path in given if path not in files], [*images, *files]
