"""A run as a repository for the Hugging Face Hub: weights without pickle, a model card, and what predicts with them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from semiseg.errors import ArgumentError
from semiseg.export.new_folder import require_empty
from semiseg.export.portable.card import card
from semiseg.export.portable.description import description
from semiseg.io.atomic import make_folder, write_bytes, write_json, write_text
from semiseg.io.json import read_json
from semiseg.prediction.ensemble import LoadedRun, load_runs
from semiseg.progress import Reporter
from semiseg.quality.calibration import Calibration, calibrations_of, write_calibration
from semiseg.recipe.diff import EPOCHS, recipe_hash
from semiseg.recipe.dump import to_yaml
from semiseg.runs.belonging import record_digest
from semiseg.runs.checkpoint import file_digest
from semiseg.runs.folder import LASTING, RunFolder
from semiseg.runs.postprocessing import Decision, decision_of, write_decision
from semiseg.scoring.summary_form import RunSummary

CONFIG, CARD = "config.json", "README.md"


def export_huggingface(
    run: str | Path, output: str | Path, *, checkpoint: str = "best", reporter: Reporter | None = None
) -> Path:
    """Write a run as a model repository, which ``semiseg.load`` and ``semiseg predict`` read like a run folder.

    Without names of cases, paths of data, and features of training cases: predictions equal those of the run, but new
    images are not compared with the training cases.

    Args:
        run: the run folder.
        output: a new folder.
        checkpoint: ``best`` or ``last``; the only weights in the repository.
        reporter: receives notes.

    Returns the folder. Raises RunError for no such run or checkpoint, ArgumentError for a run that is such a repository
    already, StorageError if the folder is not empty or writing fails.
    """
    reporter, home = reporter or Reporter(), RunFolder(Path(output))
    (loaded,) = load_runs(Path(run), checkpoint, "cpu", None, reporter)
    kept = loaded.kept
    if kept.folder.is_published:
        raise ArgumentError(f"{run} is a model repository already.", "Export the run folder.")
    axes = loaded.model.flipped_axes if loaded.mirror else ()
    about = description(loaded, checkpoint, axes, reporter)  # before anything is written; makes the decision on "auto"
    require_empty(home.path, CARD)
    make_folder(home.path)
    recipe = _without_places(kept.folder.kept_recipe(), kept.record.get("data_paths", ["dataset.root"]))
    places = ["dataset.root"] if "root" in recipe["dataset"] else []
    record = {
        **kept.record,
        "recipe": recipe_hash(recipe, places),
        LASTING: recipe_hash(recipe, [*places, EPOCHS]),
        "data_paths": places,
    }
    write_text(home.recipe, to_yaml(recipe))
    write_json(home.model, record)
    _write_weights(home, loaded, checkpoint, record)
    digest = file_digest(home.published_weights)
    _write_what_was_measured(home, loaded, checkpoint, digest)
    write_json(home.path / CONFIG, {"model_type": "semiseg", **about, "weights_sha256": digest})
    write_text(home.path / CARD, card(about))
    return home.path


def _without_places(recipe: dict[Any, Any], data_paths: list[str]) -> dict[Any, Any]:
    """Return a recipe without paths of data and names of cases: lists of cases become counts."""
    dataset = dict(recipe["dataset"])
    for key in data_paths:
        name = key.removeprefix("dataset.")
        if name == "root":
            dataset[name] = "."
        else:
            dataset.pop(name, None)
    split = {role: len(value) if isinstance(value, list) else value for role, value in recipe["split"].items()}
    training = {key: value for key, value in recipe["training"].items() if key != "initial_weights"}
    preprocessing = {**recipe["preprocessing"], "store": None}
    return {**recipe, "dataset": dataset, "split": split, "training": training, "preprocessing": preprocessing}


def _write_weights(home: RunFolder, loaded: LoadedRun, checkpoint: str, record: Mapping[str, Any]) -> None:
    from safetensors.torch import save

    state = loaded.model.strategy.state_dict()
    # Copies, since safetensors refuses tensors that share memory.
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    about = {"format": "pt", "checkpoint": checkpoint, "model": record_digest(record)}
    write_bytes(home.published_weights, save(tensors, about))


def _write_what_was_measured(home: RunFolder, loaded: LoadedRun, checkpoint: str, digest: str) -> None:
    """Write the summary, the calibration of expected Dice and the decision on components, without names of cases."""
    folder = loaded.kept.folder
    if folder.summary.exists():
        summary = read_json(folder.summary, RunSummary)
        blocks = summary["scores"]["checkpoints"].get(checkpoint, {})
        scores = {**summary["scores"], "checkpoints": {checkpoint: {m: {**b, "worst": []} for m, b in blocks.items()}}}
        kept = {key: summary[key] for key in ("name", "seed", "cases", "evaluation_hash") if key in summary}
        write_json(home.summary, {**kept, "weights": {checkpoint: digest}, "scores": scores})
    found = [one for one in calibrations_of(folder) if one.key.weights == loaded.weights and not one.encoder]
    if found:
        write_calibration(home, *(_nameless(one, checkpoint, digest) for one in found))
    decision = decision_of(folder, checkpoint)
    if decision is not None:
        write_decision(home, [checkpoint], _nameless_decision(decision, digest))


def _nameless(one: Calibration, checkpoint: str, digest: str) -> Calibration:
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(case.patient for case in one.cases), 1)}
    cases = [
        case.model_copy(update={"case": f"case {number}", "patient": f"patient {numbers[case.patient]}"})
        for number, case in enumerate(one.cases, 1)
    ]
    key = one.key.model_copy(update={"checkpoint": checkpoint, "weights": digest})
    why = "the features of the training cases are not part of an export"
    return one.model_copy(update={"key": key, "cases": cases, "known": None, "unchecked": why})


def _nameless_decision(decision: Decision, digest: str) -> Decision:
    classes = {
        name: one.model_copy(update={"cases": dict(_numbered(one.cases))}) for name, one in decision.classes.items()
    }
    return decision.model_copy(update={"weights": digest, "classes": classes})


def _numbered(cases: Mapping[str, tuple[float, float]]) -> Iterator[tuple[str, tuple[float, float]]]:
    for number, pair in enumerate(cases.values(), 1):
        yield f"case {number}", pair
