"""Scores as rows, a data frame, or a table."""

import math
from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from semiseg.messages import counted
from semiseg.scoring.score_case import Score
from semiseg.scoring.table import COLUMNS, IGNORED_COLUMN
from semiseg.tabular import as_html, data_frame


class Scores(tuple[Score, ...]):
    """Rows of scores, one for each case, class or region, and metric."""

    __slots__ = ()

    def __new__(cls, scores: Iterable[Score] = ()) -> "Scores":
        """Return the scores in their order."""
        return super().__new__(cls, scores)

    def __repr__(self) -> str:
        """Return the number of rows and cases."""
        cases = len({score.case for score in self})
        return f"<{counted(len(self), 'score')} of {counted(cases, 'case')}>"

    def values(self, metric: str) -> dict[str, float]:
        """Return the mean of a metric over the cases, by class or region; NaN (no mask) counts in no mean.

        Values of empty masks are raw (infinity for HD95): ``semiseg.evaluate`` replaces them by a policy. Raises
        KeyError if there is no such metric.
        """
        rows = [score for score in self if score.metric == metric]
        if not rows:
            raise KeyError(f"{metric!r}; metrics: {', '.join(dict.fromkeys(score.metric for score in self)) or 'none'}")
        found: dict[str, list[float]] = {}
        for score in rows:
            found.setdefault(score.class_name, []).append(score.value)
        return {name: _mean(values) for name, values in found.items()}

    def to_dataframe(self) -> Any:
        """Return a pandas.DataFrame with the columns of scores.csv. Raises ComponentError without pandas."""
        return data_frame(dict(zip((*COLUMNS, IGNORED_COLUMN), astuple(score), strict=True)) for score in self)

    def table(self) -> Table:
        """Return a table for the terminal: a row per case and class, a column per metric."""
        metrics = list(dict.fromkeys(score.metric for score in self))
        table = Table(box=SIMPLE, pad_edge=False)
        for title in ("case", "class"):
            table.add_column(title, overflow="fold")
        for metric in metrics:
            table.add_column(escape(_titled(next(score for score in self if score.metric == metric))), justify="right")
        rows: dict[tuple[str, str], dict[str, float]] = {}
        for score in self:
            rows.setdefault((score.case, score.class_name), {})[score.metric] = score.value
        for (case, name), found in rows.items():
            cells = (f"{found[metric]:.3f}" if metric in found else "–" for metric in metrics)
            table.add_row(escape(case), escape(name), *cells)
        return table

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        return as_html([self.table()])


def _titled(score: Score) -> str:
    return score.metric if score.unit == "1" else f"{score.metric}, {score.unit}"


def _mean(values: list[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
