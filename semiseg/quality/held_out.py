"""Expected against true Dice on labeled cases that the calibration has not seen."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.io.atomic import atomic_file
from semiseg.quality.expected import COLUMNS, Quality, cells, of_cells
from semiseg.scoring.score_case import Score


@dataclass(frozen=True, slots=True)
class Compared:
    """A case's expected Dice for a structure, and its true Dice; None if the structure is in neither label."""

    quality: Quality
    dice: float | None

    @property
    def is_pair(self) -> bool:
        """Whether both are known."""
        return self.quality.expected_dice is not None and self.dice is not None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How well the expected Dice of a structure did.

    Attributes:
        structure: the class or region.
        n: number of cases with an expected and a true Dice.
        left_out: number of cases with a true but no expected Dice.
        rank_correlation: Spearman's; None for fewer than three cases or constant values.
        mean_error: mean absolute difference.
        coverage: share of cases whose Dice is within the interval.
        width: mean width of the intervals.
    """

    structure: str
    n: int
    left_out: int
    rank_correlation: float | None
    mean_error: float
    coverage: float
    width: float


def compare(rows: Iterable[Quality], scores: Iterable[Score], checkpoint: str = "") -> list[Compared]:
    """Return rows of expected Dice with the true Dice among the scores of a checkpoint."""
    dice = {
        (score.case, score.class_name): score.value
        for score in scores
        if score.checkpoint == checkpoint and score.definition.split()[:1] == ["Dice"]
    }
    found = ((row, dice.get((row.case, row.structure), math.nan)) for row in rows)
    return [Compared(row, None if math.isnan(value) else value) for row, value in found]


def held_out(tested: Iterable[Compared]) -> list[HeldOut]:
    """Return the figures of each structure that has an expected and a true Dice in some case."""
    by_structure: dict[str, list[Compared]] = {}
    for one in tested:
        by_structure.setdefault(one.quality.structure, []).append(one)
    return [_figures(name, cases) for name, cases in by_structure.items() if any(case.is_pair for case in cases)]


def _figures(structure: str, cases: Sequence[Compared]) -> HeldOut:
    pairs = [(c.quality.expected_dice, c.quality.low, c.quality.high, c.dice) for c in cases if c.is_pair]
    expected, low, high, dice = np.array(pairs, float).T
    return HeldOut(
        structure,
        len(pairs),
        sum(case.dice is not None for case in cases) - len(pairs),
        _spearman(expected, dice),
        float(np.abs(expected - dice).mean()),
        float(((low <= dice) & (dice <= high)).mean()),
        float((high - low).mean()),
    )


def _spearman(one: Any, other: Any) -> float | None:
    from scipy.stats import rankdata

    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def write_compared(path: Path, tested: Mapping[str, Sequence[Compared]]) -> None:
    """Write a run's quality.csv: rows as ``semiseg predict`` writes, with checkpoint and true Dice."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["checkpoint", *COLUMNS, "dice"])
        for checkpoint, rows in tested.items():
            writer.writerows([checkpoint, *cells(one.quality), "" if one.dice is None else one.dice] for one in rows)


def read_compared(path: Path) -> dict[str, list[Compared]]:
    """Return the rows of a run's quality.csv by checkpoint. Raises ValueError or KeyError for another file."""
    found: dict[str, list[Compared]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            dice = float(line["dice"]) if line["dice"] else None
            found.setdefault(line["checkpoint"], []).append(Compared(of_cells(line), dice))
    return found
