"""``semiseg predict``."""

from pathlib import Path
from typing import Annotated

import typer


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder with trained weights.")],
    images: Annotated[
        list[Path],
        typer.Option("--images", "-i", help="Folder of cases, or the files of one case: one -i per modality."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for this model's predictions, or a new NAME.nii.gz (NAME.png) for one case."
        ),
    ],
    checkpoint: Annotated[str, typer.Option("--checkpoint", help="best or last.")] = "best",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the written files and errors.")] = False,
) -> None:
    """Predict new images on their own grids, with the dataset's label values; the training data are not needed.

    To resume, run the same command again. An output folder with files of another run or checkpoint is refused.
    Unusable images are skipped and reported at the end.

    Example: semiseg predict runs/brats_cps -i new_scans/ -o predictions/
    """
    from semiseg.cli.console import make_reporter
    from semiseg.pipeline.predict import predict as predict_images

    for path in predict_images(run, images, output, checkpoint=checkpoint, reporter=make_reporter(quiet)):
        typer.echo(path)
