"""Prediction of new images with one finished run, or several together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from semiseg.errors import DataError, Problem, RunError, SomeCasesError
from semiseg.inference.image import Ensemble
from semiseg.interfaces.dataset import Dataset
from semiseg.io.atomic import make_folder, require_file
from semiseg.io.finding import find
from semiseg.io.formats.pairs import is_label
from semiseg.io.labels import label_ending
from semiseg.io.lock import locked
from semiseg.io.names import image_stem, volume_stem
from semiseg.messages import counted, some
from semiseg.pipeline.cost import cost_note
from semiseg.prediction.calibrated import calibration_for
from semiseg.prediction.ensemble import LoadedRun, limit_of, load_runs, weights_of
from semiseg.prediction.known_cases import known_cases_note
from semiseg.prediction.look import Look, look_at
from semiseg.prediction.postprocessing import largest_for, mode_of
from semiseg.prediction.predicting import Predicting
from semiseg.prediction.probabilities import FORMATS, Format, file_names
from semiseg.prediction.quality import NAME as QUALITY
from semiseg.prediction.quality import Predictions, QualityTable, unmeasured, written
from semiseg.prediction.targets import (
    NewFile,
    OutputFolder,
    missing_cases,
    names_of,
    require_ending,
    require_new,
)
from semiseg.progress import Reporter
from semiseg.runs.provenance import Maker, claim
from semiseg.types import Case, Geometry


def predict(
    run: str | Path | Sequence[str | Path],
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    checkpoint: str = "best",
    device: str = "auto",
    mirror: bool | None = None,
    postprocess: str | None = None,
    probabilities: str | None = None,
    memory_gib: float | Literal["auto"] | None = None,
    quality: bool = True,
    reporter: Reporter | None = None,
) -> Predictions:
    """Predict new images; each prediction is on its image's grid, with the dataset's label values.

    Predictions of volumes are NIfTI files, those of pictures are PNG.

    The result equals the run's own prediction, in its precision if the device supports it. The training data need not
    be available. Several runs predict by their mean probabilities, in the image's own grid; they may differ in
    everything but modalities, classes and outputs.

    Args:
        run: the run folder, or several.
        images: a folder of cases, or the image files of one case in the order of the model's modalities.
        output: a folder for ``CASE.nii.gz`` (``CASE.png``) and ``predictions.json``, which records the weights, the
            images and the digests of the predictions. An unchanged prediction by the same weights of the same images is
            kept, so that a stopped call resumes. Or, for one case, a new file ``NAME.nii.gz`` (``NAME.png``).
        checkpoint: ``best`` or ``last``.
        device: ``auto``, ``cpu`` or ``cuda``.
        mirror: predict the mean over all flips along the axes that training flipped; by default as the recipe says.
        postprocess: ``none``, ``largest_component`` of each class, or ``auto``, only of classes that it improves on
            the validation cases; by default as the recipe says. ``auto`` reads the decision from the run folder, or
            makes it, which needs the validation cases.
        probabilities: also write probabilities, as ``npz`` or ``nifti``, into ``output/probabilities``, or next to a
            single file; or the ``confidence``, the probability of the predicted class, as ``CASE_confidence.nii.gz``
            next to the prediction.
        memory_gib: limit of memory in GiB, or ``auto``; by default as the recipe says (the lowest of several).
        quality: also give the Dice to expect of every case and class with a 90 % interval, in ``output/quality.csv``
            (``NAME_quality.csv`` next to a single file), if the run has a calibration, or it can be made with at least
            10 validation patients; otherwise a note says why there is none.
        reporter: receives progress.

    Returns:
        The predictions' paths, a list, whose attribute ``quality`` has the expected Dice.

    Raises:
        RunError: no such run or checkpoint; runs that do not fit together; an output folder that is in use or has
            predictions by other weights, with other settings or of other images, which are not changed; a single file
            for several cases, or an existing file.
        DataError: images that cannot be read or do not match the model's training data.
        TrainingError: images for which memory ran out, or that take more than the limit. In both cases the others are
            predicted first, and all problems are reported.
    """
    kind = _format(probabilities)
    reporter = reporter or Reporter()
    home = Path(output)
    if home.exists() and not home.is_dir():
        raise RunError(f"{home} already exists and is a file.", "Nothing was changed. Choose another --output.")
    paths = [Path(images)] if isinstance(images, str | Path) else [Path(p) for p in images]
    runs = load_runs(run, checkpoint, device, mirror, reporter)
    model = runs[0].model
    dataset = model.components.dataset
    cases, problems = _new_cases(dataset, paths)
    for note in _not_predicted(cases, paths):
        reporter.say(f"Note: {note}.")
    if len(paths) > 1:
        taken = ", ".join(f"{name} {path.name}" for name, path in zip(model.info.modalities, paths, strict=False))
        reporter.say(f"Modalities in the order given: {taken}.")
    one_file = bool(image_stem(home)) and not home.is_dir()
    if one_file and problems:
        raise DataError(problems)
    if one_file and len(cases) > 1:
        raise RunError(f"{home} is a single file, but there are {len(cases)} images.", "Give a folder as --output.")
    mode = mode_of(runs, postprocess)
    seen, unreadable = look_at(cases, dataset, reporter)
    problems += unreadable
    if not seen:
        raise DataError(problems)
    limit = limit_of(runs, memory_gib)
    largest = largest_for(runs, mode, checkpoint, limit, reporter)
    ensemble = Ensemble([run.member() for run in runs], model.task.out_channels, limit, largest)
    grids = {name: look.grid for name, look in seen.items()}
    cost = cost_note(grids, ensemble, model.task)
    for note in dict.fromkeys((*(run.spacing_note(grids) for run in runs), known_cases_note(runs, grids), cost)):
        if note:
            reporter.say(f"Note: {note.removesuffix('.')}.")
    usable = [case for case in cases if case.id in seen]
    place = home.with_name(f"{image_stem(home)}_{QUALITY}") if one_file else home / QUALITY
    calibration = calibration_for(runs, ensemble, checkpoint, reporter) if quality else None
    table = None if calibration is None else QualityTable.of(place, calibration, ensemble, runs)
    predict_each = Predicting(model, ensemble, runs[0].runtime.device, reporter, kind, table)
    outputs = tuple(model.task.regions or model.task.classes)
    if one_file:
        return _into_file(home, usable[0], grids, outputs, predict_each, problems)
    made_by = _maker(runs, ensemble, checkpoint, mode)
    return _into_folder(home, usable, seen, outputs, made_by, predict_each, problems)


def _new_cases(dataset: Dataset, paths: Sequence[Path]) -> tuple[Sequence[Case], list[Problem]]:
    """Return the cases to predict, and the problems of those that are left out."""
    try:
        return dataset.new_cases(paths), []
    except SomeCasesError as error:
        return error.cases, [*error.problems]


def _into_folder(
    home: Path,
    cases: Sequence[Case],
    seen: Mapping[str, Look],
    outputs: Sequence[str],
    made_by: Maker,
    predict_each: Predicting,
    problems: Sequence[Problem],
) -> Predictions:
    """Predict cases into a folder; those that are there already stay."""
    make_folder(home)
    table, reporter = predict_each.quality, predict_each.reporter
    names = {case.id: names_of(case, seen[case.id].grid, predict_each.probabilities, outputs) for case in cases}
    with locked(home):
        if table is not None:
            table.take_over()
        sources = {name: seen[case.id].digests for case in cases for name in names[case.id]}
        claimed = claim(home, made_by, sources)
        missing = missing_cases(cases, names, claimed, reporter)
        if there := len(cases) - len(missing):
            reporter.say(f"Note: {there} of {len(cases)} predictions from these weights are already in {home}.")
        missing += unmeasured(cases, missing, table, reporter)
        with written(table, reporter, cases):
            predict_each(missing, OutputFolder(names, claimed, reporter), problems)
    return Predictions([home / names[case.id][0] for case in cases], table, cases)


def _into_file(
    path: Path,
    case: Case,
    grids: Mapping[str, Geometry],
    outputs: Sequence[str],
    predict_each: Predicting,
    problems: Sequence[Problem],
) -> Predictions:
    """Predict one case into a new file, with its probabilities next to it."""
    require_ending(path, label_ending(grids[case.id].unit))
    kind = predict_each.probabilities
    beside = file_names(kind, image_stem(path), outputs, in_folder=False) if kind else []
    table = predict_each.quality
    require_new([*(path.parent / name for name in beside), *([] if table is None else [table.path])])
    require_file(path)
    with written(table, predict_each.reporter, [case]):
        predict_each([case], NewFile(path, beside), problems)
    return Predictions([path], table, [case])


def _format(asked: str | None) -> Format | None:
    if asked is None:
        return None
    found = next((kind for kind in FORMATS if kind == asked), None)
    if found is None:
        raise RunError(f"There is no format {asked!r} of probabilities.", f"Choose one of {', '.join(FORMATS)}.")
    return found


def _maker(runs: Sequence[LoadedRun], ensemble: Ensemble, checkpoint: str, mode: str) -> Maker:
    """Return the record of what makes the predictions."""
    settings: dict[str, Any] = {}
    mirrored = [member.predictor.mirrored_axes for member in ensemble.members]
    if any(mirrored):
        settings["mirrored_axes"] = {run.weights: [*axes] for run, axes in zip(runs, mirrored, strict=True)}
    if mode != "none":
        classes = runs[0].model.task.classes
        settings["largest_component"] = [classes[index] for index in ensemble.largest]
    several = [{"run": run.name, "weights": run.weights} for run in runs] if len(runs) > 1 else []
    return Maker(", ".join(run.name for run in runs), checkpoint, weights_of(runs), settings, several)


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
