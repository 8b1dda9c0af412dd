"""Predictions of a model as nnU-Net writes them, to be scored by its tools."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiseg.errors import ArgumentError, DataError, Problem, RunError
from semiseg.export.new_folder import require_empty
from semiseg.export.nnunet_files import file_ending, label_content
from semiseg.export.nnunet_labels import nnunet_labels
from semiseg.io.atomic import make_folder, write_bytes, write_json
from semiseg.io.labels import LABEL_ENDINGS
from semiseg.io.volumes import read_label_file
from semiseg.pipeline.model import KeptModel, kept_model
from semiseg.pipeline.predictions import CHECKPOINTS
from semiseg.progress import Reporter
from semiseg.runs.provenance import NOTE
from semiseg.types import Unit

PLANS = {"label_manager": "LabelManager"}
"""The only entry of a plans.json that nnUNetv2_evaluate_folder reads."""


@dataclass(frozen=True, slots=True)
class Source:
    """Label files of one model's predictions, by case id."""

    model: KeptModel
    files: dict[str, Path]


def is_predictions(path: Path) -> bool:
    """Return whether a folder is a run, or holds the predictions of ``semiseg predict``."""
    return path.is_dir() and ((path / "model.json").exists() or (path / NOTE).exists())


def export_predictions(
    source: Path, output: Path, *, checkpoint: str | None = None, reporter: Reporter | None = None
) -> Path:
    """Write predictions with the label values of the exported dataset, and return their folder.

    Each is ``CASE.nii.gz`` (``CASE.png`` for pictures). dataset.json and plans.json are those that
    ``nnUNetv2_evaluate_folder`` needs.

    Args:
        source: a run folder, of which the predictions of the test cases are taken, or a folder of ``semiseg predict``.
        output: a new folder.
        checkpoint: of a run, ``best`` (the default) or ``last``.
        reporter: receives progress.

    Raises:
        RunError: no predictions, or an unknown model.
        StorageError: the folder exists and is not empty, or the disk refuses.
        DataError: damaged predictions; then nothing is left in the folder.
    """
    reporter = reporter or Reporter()
    require_empty(output)
    found = _of_run(source, checkpoint) if (source / "model.json").exists() else _of_predict(source, checkpoint)
    info, regions = found.model.info, found.model.regions
    labels = nnunet_labels(info, regions)
    indices = {value: index for index, value in enumerate(info.class_values)}
    problems, units = list[Problem](), set[Unit]()
    make_folder(output)
    try:
        with reporter.work("writing predictions", len(found.files), unit="case") as meter:
            for case_id, path in found.files.items():
                try:
                    label = read_label_file(path, indices)
                    units.add(label.geometry.unit)
                    target = output / f"{case_id}{file_ending(label.geometry.unit)}"
                    write_bytes(target, label_content(labels, label))
                except DataError as error:
                    problems += error.problems
                meter.advance()
        if problems:
            raise DataError(problems)
        write_json(output / "plans.json", PLANS)
        write_json(output / "dataset.json", _manifest(found, labels.manifest, units.pop()))
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise
    for note in labels.notes:
        reporter.say(f"Note: {note}.")
    return output


def _manifest(found: Source, labels: Any, unit: Unit) -> dict[str, Any]:
    channels = {str(index): name for index, name in enumerate(found.model.info.modalities)}
    ending = {"file_ending": file_ending(unit)}
    return {"channel_names": channels, **labels, **ending, "name": found.model.recipe.name}


def _of_run(run: Path, checkpoint: str | None) -> Source:
    checkpoint = checkpoint or "best"
    if checkpoint not in CHECKPOINTS:
        raise RunError(f"There is no checkpoint {checkpoint!r}.", f"Choose one of {', '.join(CHECKPOINTS)}.")
    model = kept_model(run)
    home = model.folder.predictions / checkpoint
    files = dict(_label_files(home))
    if not files:
        fix = "The run may have no test cases, or not be finished: continue it with `semiseg run … --resume`."
        raise RunError(f"There are no predictions in {home}.", fix)
    return Source(model, files)


def _of_predict(home: Path, checkpoint: str | None) -> Source:
    if checkpoint is not None:
        fix = "Leave --checkpoint out: it selects the predictions of a run folder."
        raise ArgumentError(f"{home} has predictions by one checkpoint.", fix)
    note = home / NOTE
    try:
        record = json.loads(note.read_text(encoding="utf-8"))
        several = record.get("runs") or [{"run": record["run"]}]  # an ensemble's runs mean the same by their values
        runs, names = [Path(member["run"]) for member in several], set(record["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = "it is damaged, or not a record of semiseg's predictions"
        raise RunError(Problem(str(note), what, "Predict again into another folder.")) from error
    run = next((run for run in runs if (run / "model.json").exists()), None)
    if run is None:
        by = ", ".join(map(str, runs))
        what = f"the predictions are by {by}, which is not there, so that the meaning of their values is unknown"
        raise RunError(Problem(str(note), what, "Put the run folder back."))
    files = {case_id: path for case_id, path in _label_files(home) if path.name in names}
    if not files:
        raise RunError(f"There are no predictions in {home}.", "Continue `semiseg predict` with the same --output.")
    return Source(kept_model(run), files)


def _label_files(home: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(home.glob("*")):
        ending = next((ending for ending in LABEL_ENDINGS if path.name.endswith(ending)), None)
        if ending and not path.name.startswith("."):
            yield path.name.removesuffix(ending), path
