"""Prediction of new images with a finished run."""

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from semiseg.data.digests import digest_text
from semiseg.data.verify import problems_of
from semiseg.engine.memory import NEW_IMAGE_FIX, raising_on_oom
from semiseg.engine.precision import bf16_problems, slow_bf16_notes
from semiseg.engine.runtime import Runtime, accelerator, precision_on
from semiseg.errors import DataError, Problem, RunError, TrainingError, raise_all
from semiseg.inference.sliding_window import Predictor
from semiseg.interfaces.dataset import Dataset
from semiseg.io.atomic import make_folder, require_file, write_bytes
from semiseg.io.finding import find
from semiseg.io.formats.contents import contents
from semiseg.io.formats.pairs import is_label
from semiseg.io.labels import label_bytes, label_ending
from semiseg.io.lock import locked
from semiseg.io.names import image_stem, volume_stem
from semiseg.messages import counted, some
from semiseg.pipeline.cost import cost_note
from semiseg.pipeline.model import KeptModel, Model, kept_model
from semiseg.pipeline.predictions import CHECKPOINTS, predicted, weights_digest
from semiseg.pipeline.spacing import spacing_note
from semiseg.progress import Reporter
from semiseg.runs.checkpoint import file_digest
from semiseg.runs.provenance import NOTE, Claimed, Maker, claim
from semiseg.types import Case, Geometry

_IN_FLOAT32 = "These predictions use float32 and may differ from the run's own by rounding."


def predict(
    run: str | Path,
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    checkpoint: str = "best",
    device: str = "auto",
    reporter: Reporter | None = None,
) -> list[Path]:
    """Predict new images; each prediction is on its image's grid, with the dataset's label values.

    Predictions of volumes are NIfTI files, those of pictures are PNG.

    The result equals the run's own prediction, in its precision if the device supports it. The training data need not
    be available.

    Args:
        run: the run folder.
        images: a folder of cases, or the image files of one case in the order of the model's modalities.
        output: a folder for ``CASE.nii.gz`` (``CASE.png``) and ``predictions.json``, which records the weights, the
            images and the digests of the predictions. An unchanged prediction by the same weights of the same images is
            kept, so that a stopped call resumes. Or, for one case, a new file ``NAME.nii.gz`` (``NAME.png``).
        checkpoint: ``best`` or ``last``.
        device: ``auto``, ``cpu`` or ``cuda``.
        reporter: receives progress.

    Returns:
        The predictions' paths.

    Raises:
        RunError: no such run or checkpoint; an output folder that is in use or has predictions by other weights or of
            other images, which are not changed; a single file for several cases, or an existing file.
        DataError: images that cannot be read or do not match the model's training data.
        TrainingError: images for which memory ran out. In both cases the others are predicted first, and all problems
            are reported.
    """
    if checkpoint not in CHECKPOINTS:
        raise RunError(f"There is no checkpoint {checkpoint!r}.", f"Choose one of {', '.join(CHECKPOINTS)}.")
    reporter = reporter or Reporter()
    home = Path(output)
    if home.exists() and not home.is_dir():
        raise RunError(f"{home} already exists and is a file.", "Nothing was changed. Choose another --output.")
    paths = [Path(images)] if isinstance(images, str | Path) else [Path(p) for p in images]
    kept = kept_model(Path(run))
    runtime = _runtime(kept, device, reporter)
    model = kept.load(checkpoint, runtime, reporter.say)
    # A run that is still training may replace its best weights at any time, so hash them right away.
    maker = Maker(str(kept.folder.path), checkpoint, weights_digest(kept.folder, checkpoint))
    dataset = model.components.dataset
    cases = dataset.new_cases(paths)
    for note in _not_predicted(cases, paths):
        reporter.say(f"Note: {note}.")
    if len(paths) > 1:
        taken = ", ".join(f"{name} {path.name}" for name, path in zip(model.info.modalities, paths, strict=False))
        reporter.say(f"Modalities in the order given: {taken}.")
    one_file = bool(image_stem(home)) and not home.is_dir()
    if one_file and len(cases) > 1:
        raise RunError(f"{home} is a single file, but there are {len(cases)} images.", "Give a folder as --output.")
    seen, problems = look_at(cases, dataset, reporter)
    if not seen:
        raise DataError(problems)
    predictor = model.predictor(runtime.device)
    grids = {name: look.grid for name, look in seen.items()}
    names = {name: f"{name}{label_ending(grid.unit)}" for name, grid in grids.items()}
    cost = cost_note(grids, predictor, model.task, kept.recipe.preprocessing)
    resampled = kept.recipe.preprocessing.spacing != "none"
    slices = kept.recipe.preprocessing.slice_axis if model.task.spatial_dims == 2 else None
    for note in (spacing_note(kept.record.get("spacing"), grids, slices, resampled), cost):
        if note:
            reporter.say(f"Note: {note.removesuffix('.')}.")
    usable = [case for case in cases if case.id in seen]
    predict_each = Predicting(model, predictor, runtime, reporter)
    if one_file:
        _require_ending(home, label_ending(grids[usable[0].id].unit))
        require_file(home)
        predict_each(usable, lambda case, content: _write_new(home, content), problems)
        return [home]
    make_folder(home)
    with locked(home):
        claimed = claim(home, maker, {names[case.id]: seen[case.id].digests for case in usable})
        missing = _missing(usable, names, claimed, reporter)
        if there := len(usable) - len(missing):
            reporter.say(f"Note: {there} of {len(usable)} predictions from these weights are already in {home}.")
        predict_each(missing, lambda case, content: _write(names[case.id], content, claimed, reporter), problems)
    return [home / names[case.id] for case in usable]


def _not_predicted(cases: Sequence[Case], paths: Sequence[Path]) -> Iterator[str]:
    """Yield notes on files in the folder that belong to no case."""
    if len(paths) == 1 and paths[0].is_dir():
        held = find(paths[0], volume_stem)
        used = {path for case in cases for path in case.images}
        other = tuple(path for path in held.other if not used & {path, *path.parents})
        labels = [path.name for path in held.files if path not in used and is_label(path)]
        if labels:
            yield f"{paths[0]}: {counted(len(labels), 'label')} by file name, not predicted: {some(labels, 4)}"
        yield from replace(held, other=other, deeper=() if used & {*held.deeper} else held.deeper).notes()


def _require_ending(output: Path, ending: str) -> None:
    if not output.name.lower().endswith((ending, ending.removesuffix(".gz"))):
        what = f"{output} does not have the format of the image: its prediction is a {ending} file."
        raise RunError(what, f"Give NAME{ending}, or a folder, as --output.")


def _missing(cases: Sequence[Case], names: Mapping[str, str], claimed: Claimed, reporter: Reporter) -> list[Case]:
    """Return the cases whose prediction is absent or has changed, and report the changed ones."""
    missing = [case for case in cases if not claimed.is_intact(names[case.id])]
    there = [names[case.id] for case in missing if (claimed.home / names[case.id]).exists()]
    if there:
        reporter.say(f"Note: predicted again, because {NOTE} has no matching digest: {some(there)}.")
    return missing


def _write(name: str, content: bytes, claimed: Claimed, reporter: Reporter) -> None:
    if aside := claimed.write(name, content):
        reporter.say(f"Note: the previous {name} is kept as {aside.name}.")


def _write_new(path: Path, content: bytes) -> None:
    write_bytes(path, gzip.decompress(content) if path.suffix.lower() == ".nii" else content)


def _runtime(kept: KeptModel, device: str, reporter: Reporter) -> Runtime:
    """Return a runtime in the run's precision, or in float32, with a note, if the device lacks it or gets it wrong."""
    options = kept.recipe.training
    spatial_dims = len(options.patch)
    precision, note = precision_for(options.precision, kept.precision, accelerator(device))
    runtime = Runtime(device, precision, options.deterministic)
    if runtime.precision == "bf16" and (wrong := bf16_problems(runtime.device, spatial_dims)):
        note = f"{wrong[0].what} {_IN_FLOAT32}"
        runtime.precision = "32"
    notes = [note] if note else []
    if runtime.precision == "bf16" and runtime.device.type == "cpu":
        notes += [f"{slow}." for slow in slow_bf16_notes("training.precision of the run", spatial_dims)]
    for text in notes:
        reporter.say(f"Note: {text}")
    return runtime


def precision_for(asked: str, had: str, kind: str) -> tuple[str, str]:
    """Return the precision for prediction, and a note if it is not the run's own.

    Args:
        asked: the recipe's ``training.precision``.
        had: the precision used when the run began; "auto" if unknown.
        kind: the device, "cpu" or "cuda".
    """
    wanted = had if asked == "auto" else asked
    if wanted == "auto":
        wanted = precision_on("auto", kind)
    gpu = kind == "cuda"
    # "auto" never selects bf16 on a CPU, where it may be slow; set by name it is used, as in training.
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if gpu else asked == "bf16"
    if wanted == "32" or (wanted == "fp16" and gpu) or (wanted == "bf16" and bf16):
        return wanted, ""
    lacks = "this GPU does not support" if gpu else "is meant for GPUs"
    return "32", f"The run used {wanted}, which {lacks}. {_IN_FLOAT32}"


@dataclass(frozen=True, slots=True)
class Look:
    """A case's grid and the digests of its image files, read before prediction."""

    grid: Geometry
    digests: tuple[str, ...]


def look_at(cases: Sequence[Case], dataset: Dataset, reporter: Reporter) -> tuple[dict[str, Look], list[Problem]]:
    """Return a ``Look`` for each case by id, from headers and digests, and the problems of unusable cases."""
    found: dict[str, Look] = {}
    problems: list[Problem] = []

    def look(case: Case) -> None:
        digests = tuple(_digest(path) for path in case.images)
        found[case.id] = Look(dataset.read_geometry(case), digests)

    with reporter.work("checking images", len(cases), unit="case") as meter:
        for case in cases:
            problems += problems_of(case, partial(look, case))
            meter.advance()
    return found, problems


def _digest(path: Path) -> str:
    files = contents(path)
    return _file_digest(path) if files == (path,) else digest_text("\n".join(map(_file_digest, files)))


def _file_digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        if path.is_symlink() and not path.exists():
            fix = "Fetch its target (git-annex, DataLad: `datalad get .`), or remove the link."
            raise DataError(Problem(str(path), "broken link", fix)) from error
        what = f"the file cannot be read: {error.strerror or error}"
        raise DataError(Problem(str(path), what, "Check its permissions and the disk.")) from error


@dataclass(frozen=True, slots=True)
class Predicting:
    """Predicts cases with a model."""

    model: Model
    predictor: Predictor
    runtime: Runtime
    reporter: Reporter

    def __call__(
        self, cases: Sequence[Case], write: Callable[[Case, bytes], None], problems: Sequence[Problem]
    ) -> None:
        """Predict each case and pass the content of its label file to ``write``.

        Raises, after all cases, DataError with ``problems`` (those of other images) and the problems of these images;
        TrainingError if these are only memory that ran out, or probabilities that are not finite.
        """
        bad, failed = list(problems), list[Problem]()
        with self.reporter.work("predicting", len(cases), unit="case") as meter:
            for case in cases:
                content: list[bytes] = []
                try:
                    bad += problems_of(case, partial(self._predict, case, content))
                except TrainingError as error:
                    failed += [Problem(f"case {case.id}", problem.what, problem.fix) for problem in error.problems]
                for one in content:
                    write(case, one)
                meter.advance()
        raise_all([*bad, *failed], DataError if bad else TrainingError)

    def _predict(self, case: Case, into: list[bytes]) -> None:
        model = self.model
        with raising_on_oom(self.runtime.device, NEW_IMAGE_FIX):
            values, grid = predicted(case, model.components.dataset, self.predictor, model.recipe, model.info)
            into.append(label_bytes(values, grid))
