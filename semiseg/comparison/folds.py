"""Folds with test cases of their own: runs of one method with disjoint test cases, joined into one table of scores.

Folds of ``split.folds`` have the same test cases: see ``semiseg.comparison.repetitions``.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from semiseg.comparison.read import ScoredRun


def cases_of(run: ScoredRun) -> set[str]:
    """Return the ids of the cases that a run has scores of."""
    return {case for _, _, case in run.scores}


def join_folds(runs: Sequence[ScoredRun]) -> tuple[ScoredRun, ...]:
    """Return one table for each seed of a method: runs without a common test case are joined.

    A run goes to the first table with none of its cases, preferring one of its own seed, so that the folds of several
    seeds stay separate. A joined table has the recipe and summary of the first fold.
    """
    tables: list[list[ScoredRun]] = []
    for run in runs:
        cases = cases_of(run)
        fitting = [table for table in tables if all(cases.isdisjoint(cases_of(fold)) for fold in table)]
        if fitting:
            next((table for table in fitting if table[0].seed == run.seed), fitting[0]).append(run)
        else:
            tables.append([run])
    return tuple(_joined(table) for table in tables)


def _joined(folds: Sequence[ScoredRun]) -> ScoredRun:
    first, *others = folds
    if not others:
        return first
    scores = {key: score for fold in folds for key, score in fold.scores.items()}
    told = f"{first.path} and {len(others)} other fold{'s' if len(others) > 1 else ''}"
    return replace(first, path=Path(told), scores=scores)
