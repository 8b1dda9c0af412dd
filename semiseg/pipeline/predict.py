"""Prediction of new images with a finished run."""

from collections.abc import Sequence
from pathlib import Path

import torch

from semiseg.engine.checkpoint import file_digest
from semiseg.engine.lock import locked
from semiseg.engine.precision import bf16_problems, slow_bf16_notes
from semiseg.engine.runtime import Runtime, accelerator, precision_on
from semiseg.errors import DataError, Problem, RunError, raise_all
from semiseg.io.atomic import make_folder
from semiseg.pipeline.model import KeptModel, kept_model
from semiseg.pipeline.predictions import CHECKPOINTS, predict_case, weights_digest
from semiseg.pipeline.stamped import Maker, claim
from semiseg.progress import Reporter
from semiseg.types import Case

_IN_FLOAT32 = "These predictions are in float32, and may differ from the run's own by rounding."


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

    It is what the run itself would predict: in its precision, as far as the device has it. The data that the run was
    trained on need not be there.

    Args:
        run: the run folder.
        images: a folder of cases, or the image files of one case in the order of the model's modalities.
        output: where ``CASE.nii.gz`` are written, and ``predictions.json``, which says by which weights and of which
            images they are. One by the same weights of the same images is kept, so that a stopped call goes on.
        checkpoint: ``best`` or ``last``.
        device: ``auto``, ``cpu`` or ``cuda``.
        reporter: who hears of progress.

    Returns:
        The predictions' paths.

    Raises:
        RunError: no such run or checkpoint; an output folder in use, or with predictions by other weights or of other
            images, which are left as they are.
        DataError: images that cannot be read or are not what the model was trained on; the others are predicted first.
    """
    if checkpoint not in CHECKPOINTS:
        raise RunError(f"There is no checkpoint {checkpoint!r}.", f"Choose one of {', '.join(CHECKPOINTS)}.")
    reporter = reporter or Reporter()
    home = Path(output)
    if home.exists() and not home.is_dir():
        raise RunError(f"{home} is a file.", "Choose another --output.")
    paths = [Path(images)] if isinstance(images, str | Path) else [Path(p) for p in images]
    kept = kept_model(Path(run))
    runtime = _runtime(kept, device, reporter)
    model = kept.load(checkpoint, runtime)
    # Of a run that still trains the next best weights may come any time: hashed right away.
    maker = Maker(str(kept.folder.path), checkpoint, weights_digest(kept.folder, checkpoint))
    dataset = model.components.dataset
    cases = dataset.new_cases(paths)
    if len(paths) > 1:
        taken = ", ".join(f"{name} {path.name}" for name, path in zip(model.info.modalities, paths, strict=False))
        reporter.say(f"Modalities, in the order that was given: {taken}.")
    sources = _digests(cases, reporter)
    predictor = model.predictor(runtime.device)
    targets: list[Path] = []
    problems: list[Problem] = []
    make_folder(home)
    with locked(home):
        claim(home, maker, {_name(case): sources[case.id] for case in cases})
        with reporter.work("predicting", len(cases), unit="case") as meter:
            for case in cases:
                target = home / _name(case)
                try:
                    if not target.exists():
                        predict_case(case, dataset, predictor, model.recipe, model.info, target)
                    targets.append(target)
                except DataError as error:  # the others are predicted all the same
                    problems += error.problems
                meter.advance()
    raise_all(problems, DataError)
    return targets


def _name(case: Case) -> str:
    return f"{case.id}.nii.gz"


def _digests(cases: Sequence[Case], reporter: Reporter) -> dict[str, list[str]]:
    """The digests of each case's image files. Raises DataError with all files that cannot be read."""
    found: dict[str, list[str]] = {}
    problems = []
    with reporter.work("looking at images", len(cases), unit="case") as meter:
        for case in cases:
            found[case.id] = []
            for path in case.images:
                try:
                    found[case.id].append(file_digest(path))
                except OSError as error:
                    what = f"the file cannot be read: {error.strerror or error}"
                    problems.append(Problem(str(path), what, "Check its permissions and the disk."))
            meter.advance()
    raise_all(problems, DataError)
    return found


def _runtime(kept: KeptModel, device: str, reporter: Reporter) -> Runtime:
    """The device in the run's precision; in float32, which is said, where the device has no such, or a wrong one."""
    options = kept.recipe.training
    precision, note = precision_for(options.precision, kept.precision, accelerator(device))
    runtime = Runtime(device, precision, options.deterministic)
    if runtime.precision == "bf16" and (wrong := bf16_problems(runtime.device)):
        note = f"{wrong[0].what} {_IN_FLOAT32}"
        runtime.precision = "32"
    notes = [note] if note else []
    if runtime.precision == "bf16" and runtime.device.type == "cpu":
        notes += [f"{slow}." for slow in slow_bf16_notes("training.precision of the run")]
    for text in notes:
        reporter.say(f"Note: {text}")
    return runtime


def precision_for(asked: str, had: str, kind: str) -> tuple[str, str]:
    """The precision to predict in, and a note where it is not the run's own.

    Args:
        asked: the recipe's ``training.precision``.
        had: what it came to where the run began; "auto" where that is not known.
        kind: the device, "cpu" or "cuda".
    """
    wanted = had if asked == "auto" else asked
    if wanted == "auto":
        wanted = precision_on("auto", kind)
    gpu = kind == "cuda"
    # "auto" never comes to bf16 on a CPU, where it is slow; who asks for it by name gets it, as in training.
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if gpu else asked == "bf16"
    if wanted == "32" or (wanted == "fp16" and gpu) or (wanted == "bf16" and bf16):
        return wanted, ""
    lacks = "this GPU does not have" if gpu else "is for GPUs"
    return "32", f"The run is in {wanted}, which {lacks}. {_IN_FLOAT32}"
