"""Folds: runs of one method that share the test cases between them, put together as one table of scores."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from semiseg.comparison.read import ScoredRun


def cases_of(run: ScoredRun) -> set[str]:
    """The ids of the cases that a run has scores of."""
    return {case for _, _, case in run.scores}


def join_folds(runs: Sequence[ScoredRun]) -> tuple[ScoredRun, ...]:
    """One table for each seed of one method: runs without a test case in common are put together.

    A run goes to the first table that has none of its cases, one of its own seed before others, so that the folds of
    several seeds stay apart. What a joined table tells of its training is the first fold's.
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
