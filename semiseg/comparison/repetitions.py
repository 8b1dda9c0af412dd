"""Repetitions of a method: its seeds, or the folds of its only seed.

Folds of one seed share most of their training cases, so their spread is not that of independent repetitions (Y. Bengio
and Y. Grandvalet, No unbiased estimator of the variance of k-fold cross-validation, JMLR 5, 2004). With several seeds,
the folds of a seed are therefore averaged. With a single seed, folds are all that was repeated, and count like seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semiseg.comparison.read import ScoredRun


@dataclass(frozen=True, slots=True)
class Repetition:
    """A repetition of a method.

    Attributes:
        name: its seed, or the seed and the fold; if unknown, a name that no other method has.
        tables: indices of its tables of scores, which are averaged.
    """

    name: int | str
    tables: tuple[int, ...]


def repetitions(method: str, tables: Sequence[ScoredRun]) -> tuple[Repetition, ...]:
    """Return the repetitions of a method, in the order of its tables. Only folds of a known seed share one."""
    groups: dict[tuple[str, int], list[int]] = {}
    for index, table in enumerate(tables):
        key = ("table", index) if table.fold is None or table.seed is None else ("seed", table.seed)
        groups.setdefault(key, []).append(index)
    if are_folds(tables):
        return tuple(Repetition(f"{table.seed} fold {table.fold}", (index,)) for index, table in enumerate(tables))
    found = []
    for first, *others in groups.values():
        seed = tables[first].seed
        found.append(Repetition(f"{method} {first}" if seed is None else seed, (first, *others)))
    return tuple(found)


def average(values: NDArray[np.float64], found: Sequence[Repetition]) -> NDArray[np.float64]:
    """Return the values (repetitions, cases, classes) of values by table (tables, cases, classes)."""
    if len(found) == len(values):
        return values
    return np.stack([values[list(one.tables)].mean(axis=0) for one in found])


def are_folds(tables: Sequence[ScoredRun]) -> bool:
    """Return whether the repetitions are the folds of a single seed."""
    seeds = {table.seed for table in tables}
    return len(tables) > 1 and all(table.fold is not None for table in tables) and len(seeds) == 1 and None not in seeds
