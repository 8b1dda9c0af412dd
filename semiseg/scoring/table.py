"""scores.csv: one row per run, checkpoint, case, class and metric."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, get_args

from semiseg.csv_cells import as_cell, from_cell
from semiseg.errors import DataError, Problem, raise_all
from semiseg.interfaces.metric import Status
from semiseg.io.atomic import atomic_file
from semiseg.scoring.masks.label_pair import Kind
from semiseg.scoring.score_case import Score

COLUMNS = (
    "run",
    "checkpoint",
    "case",
    "class",
    "metric",
    "value",
    "unit",
    "status",
    "n_reference",
    "n_prediction",
    "image_diagonal",
    "kind",
    "definition",
    "reference_digest",
)
IGNORED_COLUMN = "n_ignored"
"""A further column, written only if some voxel is ignored."""
_REQUIRED = COLUMNS[:-3]  # a table from elsewhere may lack the others


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Write scores as CSV (UTF-8), atomically.

    The column ``n_ignored`` is written only if a case has ignored voxels. Numbers are written so that reading returns
    the same float64; infinity is ``inf``, an undefined value ``nan``. A name that a spreadsheet would run as a formula
    is prefixed with ``'``, which reading removes.
    Raises StorageError if the disk is full.
    """
    scores = list(scores)
    with atomic_file(Path(path)) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = (*COLUMNS, IGNORED_COLUMN) if any(score.n_ignored for score in scores) else COLUMNS
        writer.writerow(columns)
        rows = (astuple(score)[: len(columns)] for score in scores)
        writer.writerows([as_cell(v) if isinstance(v, str) else v for v in row] for row in rows)


def read_scores(path: Path) -> list[Score]:
    """Read a table written by ``write_scores``; unknown columns are ignored.

    Raises DataError, with all invalid lines, if the file is no table of scores.
    """
    path = Path(path)
    scores, problems = [], []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            lacking = [column for column in _REQUIRED if column not in (reader.fieldnames or ())]
            if lacking:
                raise DataError(Problem(str(path), f"not a table of scores: it lacks {', '.join(lacking)}"))
            for row in reader:
                if all(row[column] == column for column in _REQUIRED):
                    continue  # a repeated header: tables of several folds, concatenated
                try:
                    scores.append(_score({key: from_cell(cell) for key, cell in row.items() if isinstance(cell, str)}))
                except ValueError as error:
                    problems.append(Problem(f"{path}:{reader.line_num}", str(error)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(Problem(str(path), f"cannot be read: {error}")) from error
    raise_all(problems, DataError)
    return scores


def _score(row: Mapping[str, str]) -> Score:
    status: Status = _one_of("status", row["status"], get_args(Status))
    kind: Kind = _one_of("kind", row.get("kind") or "class", get_args(Kind))
    return Score(
        run=row["run"],
        checkpoint=row["checkpoint"],
        case=row["case"],
        class_name=row["class"],
        metric=row["metric"],
        value=float(row["value"]),
        unit=row["unit"],
        status=status,
        n_reference=int(row["n_reference"]),
        n_prediction=int(row["n_prediction"]),
        image_diagonal=float(row["image_diagonal"]),
        kind=kind,
        definition=row.get("definition", ""),
        reference_digest=row.get("reference_digest", ""),
        n_ignored=int(row.get(IGNORED_COLUMN) or 0),
    )


def _one_of(column: str, value: str, known: Sequence[Any]) -> Any:
    if value not in known:
        raise ValueError(f"unknown {column} {value!r}; known: {', '.join(known)}")
    return value
