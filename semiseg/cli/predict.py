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
    """Predict new images, in their own grid and label values; the training data need not be there.

    The same call again goes on where it stopped. What another run or checkpoint left in the output folder is refused.
    Images that cannot be used stop no others: they are told at the end.

    Example: semiseg predict runs/brats_cps -i new_scans/ -o predictions/
    """
    from semiseg.cli.console import make_reporter
    from semiseg.pipeline.predict import predict as predict_images

    for path in predict_images(run, images, output, checkpoint=checkpoint, reporter=make_reporter(quiet)):
        typer.echo(path)
