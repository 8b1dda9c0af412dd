"""``semiseg predict``."""

from pathlib import Path
from typing import Annotated

import typer


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder with trained weights.")],
    images: Annotated[
        list[Path],
        typer.Option("--images", "-i", help="A folder of cases; or the files of one case, -i once for each modality."),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for this model's predictions; or a new NAME.nii.gz for one case."),
    ],
    checkpoint: Annotated[str, typer.Option("--checkpoint", help="best or last.")] = "best",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Predict new images on their own grids, with the dataset's label values; the training data are not needed.

    Repeating the command resumes where it stopped. An output folder with files of another run or checkpoint is refused.
    Unusable images do not stop the others; they are reported at the end.

    Example: semiseg predict runs/brats_cps -i new_scans/ -o predictions/
    """
    from semiseg.cli.console import make_reporter
    from semiseg.pipeline.predict import predict as predict_images

    for path in predict_images(run, images, output, checkpoint=checkpoint, reporter=make_reporter(quiet)):
        typer.echo(path)
