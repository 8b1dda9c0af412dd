"""Consistency of a run folder: weights store a digest of model.json, which stores one of recipe.yaml."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from semiseg.errors import Problem, RunError
from semiseg.io.json import read_json
from semiseg.recipe.schema import Recipe
from semiseg.runs.checkpoint import file_digest

_BACK = "Restore it from a copy of the run folder."
_NAMED = Annotated[tuple[str, ...], Field(min_length=1)]
_STORED = Annotated[int, Field(ge=-(2**31), lt=2**31)]


class _Record(BaseModel):
    """The required keys of model.json; others are allowed."""

    dataset: str
    modalities: _NAMED
    classes: _NAMED
    label_map: dict[int, int]
    class_values: tuple[_STORED, ...]
    ignore: int | None = None
    patch_size: Annotated[tuple[int, ...], Field(min_length=2, max_length=3)]

    @model_validator(mode="after")
    def _of_one_size(self) -> "_Record":
        n = len(self.classes)
        if len(self.class_values) != n:
            raise ValueError(f"{len(self.class_values)} class_values for {n} classes")
        if not set(self.label_map.values()) <= set(range(n)):
            raise ValueError(f"label_map has indices beyond the {n} classes")
        return self


def read_record(path: Path) -> dict[str, Any]:
    """Read a model.json. Raises RunError, in one sentence, if it cannot be read or describes no model."""
    return read_json(path, _Record, _BACK)


def record_digest(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a model.json's content, independent of its layout and of its recipe's number of epochs."""
    return json_digest({key: value for key, value in record.items() if key != "recipe"})


def json_digest(value: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a mapping as JSON, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def require_patch(path: Path, record: Mapping[str, Any], recipe: Recipe) -> None:
    """Raise RunError unless a model.json has the recipe's patch size."""
    if tuple(record["patch_size"]) != recipe.training.patch:
        what = f"it does not match recipe.yaml: its patch_size is {record['patch_size']}"
        raise RunError(Problem(str(path), f"{what}, not {list(recipe.training.patch)}", _BACK))


def require_belonging(model: Path, record: Mapping[str, Any], weights: Path, state: Mapping[str, Any]) -> list[str]:
    """Check that weights belong to this model.json and, for a finished run, are those it ended with.

    Returns notes if weights of an earlier version have no such record. Raises RunError.
    """
    ended = _ended_with(model.with_name("summary.json"), str(state.get("checkpoint", weights.stem)))
    if ended is not None and ended != file_digest(weights):
        what = "it does not match its digest in summary.json: it was changed or is from another run"
        raise RunError(Problem(str(weights), what, _BACK))
    carried = state.get("model")
    if carried is not None and carried != record_digest(record):
        what = f"it does not belong to {weights}: one of the two was edited or is from another run"
        raise RunError(Problem(str(model), what, _BACK))
    if carried is not None and "recipe" in record:
        return []
    return [
        f"{weights.name} or {model.name} is from an earlier version, without the digests to check whether {model.name}"
        " and recipe.yaml are unchanged since training"
    ]


def _ended_with(summary: Path, checkpoint: str) -> str | None:
    try:
        return str(json.loads(summary.read_text(encoding="utf-8"))["weights"][checkpoint])
    except (OSError, ValueError, LookupError, TypeError):
        return None  # the run is unfinished, or its summary is damaged


def require_same_model(path: Path, model: Mapping[str, Any]) -> bool:
    """Check that a resumed run has the model that its model.json describes; return False if there is no model.json.

    The precision may differ: it is that of the machine where the run began. A damaged file counts as absent. Raises
    RunError.
    """
    try:
        record = read_record(path)
    except RunError:
        return False
    other = [key for key, value in model.items() if key in record and key != "precision" and record[key] != value]
    if other:
        says = "; ".join(f"{key} was {record[key]!r}, is {model[key]!r}" for key in other[:3])
        what = f"it does not match this run: {says}"
        fix = "It was edited, or the dataset has changed. Undo the change, or choose another --output."
        raise RunError(Problem(str(path), what, fix))
    return True
