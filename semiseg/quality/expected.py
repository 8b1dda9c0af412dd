"""The expected Dice of a case, its row in quality.csv, and the order in which to look at cases."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semiseg.csv_cells import as_cell, from_cell
from semiseg.errors import Problem, RunError
from semiseg.io.atomic import atomic_file
from semiseg.quality.calibration import Calibration

COLUMNS = ("case", "class", "expected_dice", "low", "high", "agreement", "likeness", "note")
UNLIKE = "unlike the training cases"
_EMPTY = "nothing predicted"


@dataclass(frozen=True, slots=True)
class Measured:
    """What is measured of a new case: its agreement by structure, and its likeness to the known cases, if checked."""

    agreement: Mapping[str, float | None]
    likeness: float | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """The expected quality of one class or region of one case: a row of quality.csv.

    Attributes:
        case: the case's id.
        structure: the class or region ("class" in the file).
        expected_dice: the expected Dice; None if there is none, for the reason in ``note``.
        low: the low end of its 90 % interval.
        high: the high end.
        agreement: the Dice that the probabilities expect of their own decision; None if nothing is predicted.
        likeness: how usual the case is among the run's own, above 0 to 1 (a p-value); None if not checked.
        note: why there is no expected Dice, or when not to rely on it; empty otherwise.
    """

    case: str
    structure: str
    expected_dice: float | None
    low: float | None
    high: float | None
    agreement: float | None
    likeness: float | None
    note: str


def expected(case: str, measured: Measured, calibration: Calibration) -> list[Quality]:
    """Return a case's expected Dice by structure."""
    known, likeness = calibration.known, measured.likeness
    unlike = known is not None and likeness is not None and known.is_unlike(likeness)
    rows = []
    for structure in calibration.used:
        name = structure.name
        agreement, curve = measured.agreement.get(name), calibration.curves.get(name)
        figures: tuple[float | None, float | None, float | None] = (None, None, None)
        note = ""
        if unlike:
            note = f"{UNLIKE}: its features are farther from theirs than nearly all of these are from each other"
        elif agreement is None:
            note = f"{_EMPTY}, unlike in every validation case" if name in calibration.always else _EMPTY
        elif curve is None:
            note = calibration.too_few(name)
        else:
            found = curve(agreement)
            figures = found.dice, found.low, found.high
            if agreement < curve.least:
                note = f"agreement below the lowest of the validation cases, {curve.least:.3f}: extrapolated"
        rows.append(Quality(case, name, *figures, agreement, likeness, note))
    return rows


def worst_first(rows: Iterable[Quality]) -> list[tuple[str, list[Quality]]]:
    """Return the cases in the order in which to look at them, with their rows.

    First those unlike the training cases, then by the mean expected Dice over the structures; one that is not predicted
    although it is in every validation case counts 0. Cases without any figure come last.
    """
    cases: dict[str, list[Quality]] = {}
    for row in rows:
        cases.setdefault(row.case, []).append(row)

    def place(item: tuple[str, list[Quality]]) -> tuple[int, float]:
        values = [0.0 if row.note.startswith(f"{_EMPTY},") else row.expected_dice for row in item[1]]
        known = [value for value in values if value is not None]
        if any(row.note.startswith(UNLIKE) for row in item[1]):
            return 0, 0.0
        return (1, sum(known) / len(known)) if known else (2, 0.0)

    return sorted(cases.items(), key=place)


def in_words(rows: Sequence[Quality]) -> str:
    """Return a case's rows in words: ``Anterior 0.81 (0.74 to 0.88), Posterior: nothing predicted``."""
    if all(row.note.startswith(UNLIKE) for row in rows):
        return UNLIKE
    said = []
    for row in rows:
        if row.expected_dice is None or row.low is None or row.high is None:
            said.append(f"{row.structure}: {row.note}")
        else:
            text = f"{row.structure} {row.expected_dice:.2f} ({row.low:.2f} to {row.high:.2f})"
            said.append(f"{text}, extrapolated" if row.note else text)
    return "; ".join(said)


def cells(row: Quality) -> list[str]:
    """Return a row's cells in quality.csv, in the order of COLUMNS; numbers are read back as the same float64."""
    figures = (row.expected_dice, row.low, row.high, row.agreement, row.likeness)
    return [as_cell(row.case), as_cell(row.structure), *map(_cell, figures), as_cell(row.note)]


def of_cells(line: Mapping[str, str]) -> Quality:
    """Return the row of cells by column. Raises ValueError for one that is not a number."""
    return Quality(
        from_cell(line["case"]),
        from_cell(line["class"]),
        _number(line["expected_dice"]),
        _number(line["low"]),
        _number(line["high"]),
        _number(line["agreement"]),
        _number(line["likeness"]),
        from_cell(line["note"]),
    )


def as_text(rows: Iterable[Quality]) -> str:
    """Return rows as lines of quality.csv, without the end of the last one."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(map(cells, rows))
    return file.getvalue().removesuffix("\n")


def write_quality(path: Path, rows: Iterable[Quality]) -> None:
    """Write quality.csv, atomically. Raises StorageError."""
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join(filter(None, [",".join(COLUMNS), as_text(rows)])) + "\n", encoding="utf-8")


def read_quality(path: Path) -> list[Quality]:
    """Return the rows of a quality.csv; an incomplete last line of a killed writer does not count.

    Raises RunError if the file is something else.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file)
            if tuple(lines.fieldnames or ()) != COLUMNS:
                raise ValueError("its columns are others")
            return [of_cells(line) for line in lines if None not in line.values()]
    except (OSError, ValueError, csv.Error) as error:
        fix = "Nothing was changed. Choose another --output, or use --no-quality."
        raise RunError(Problem(str(path), f"it is not a table of expected Dice: {error}", fix)) from error


def read_measured(path: Path) -> dict[str, Measured]:
    """Return what a quality.csv has measured, by case. Raises RunError if the file is something else."""
    found: dict[str, Measured] = {}
    for row in read_quality(path):
        one = found.setdefault(row.case, Measured({}, row.likeness))
        found[row.case] = Measured({**one.agreement, row.structure: row.agreement}, row.likeness)
    return found


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def _number(text: str) -> float | None:
    return float(text) if text else None
