"""Prediction of new images with a finished run."""

from collections.abc import Sequence
from pathlib import Path

from semiseg.engine.runtime import Runtime
from semiseg.errors import RunError
from semiseg.pipeline.model import load_model
from semiseg.pipeline.predictions import CHECKPOINTS, predict_case
from semiseg.progress import Reporter


def predict(
    run: str | Path,
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    checkpoint: str = "best",
    device: str = "auto",
    reporter: Reporter | None = None,
) -> list[Path]:
    """Predict new images; each prediction is NIfTI in its image's grid, with the dataset's label values.

    Args:
        run: the run folder.
        images: a folder of cases, or the image files of one case in the order of the model's modalities.
        output: where ``CASE.nii.gz`` are written. One that is there already is kept, so that a stopped call goes on.
        checkpoint: ``best`` or ``last``.
        device: ``auto``, ``cpu`` or ``cuda``.
        reporter: who hears of progress.

    Returns:
        The predictions' paths.

    Raises:
        RunError: no such run or checkpoint. DataError: images that are not what the model was trained on.
    """
    if checkpoint not in CHECKPOINTS:
        raise RunError(f"There is no checkpoint {checkpoint!r}.", f"Choose one of {', '.join(CHECKPOINTS)}.")
    reporter = reporter or Reporter()
    paths = [Path(images)] if isinstance(images, str | Path) else [Path(p) for p in images]
    runtime = Runtime(device)
    model = load_model(Path(run), checkpoint, runtime)
    dataset = model.components.dataset
    cases = dataset.new_cases(paths)
    predictor = model.predictor(runtime.device)
    targets = []
    with reporter.work("predicting", len(cases), unit="case") as meter:
        for case in cases:
            target = Path(output) / f"{case.id}.nii.gz"
            if not target.exists():
                predict_case(case, dataset, predictor, model.recipe, model.info, target)
            targets.append(target)
            meter.advance()
    return targets
