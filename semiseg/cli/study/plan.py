"""A study's plan on the terminal: the cost of each model, with no figure cut off at any width."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semiseg.messages import counted
from semiseg.study.forecast import Forecast
from semiseg.study.load import Study
from semiseg.study.models import StudyModel

_NONE = "–"
_TITLES = ("labeled", "unlabeled", "steps", "batch", "memory GiB", "least GiB", "hours")
_LEAST = _TITLES.index("least GiB")
_NAME = 24
"""Cells for names before they wrap: to keep them, the plan first shrinks its gaps, then drops the column "least"."""


@dataclass(frozen=True, slots=True)
class _Row:
    kind: str
    name: str
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    columns: tuple[int, ...]
    titles: tuple[str, ...]
    gap: int
    name: int = _NAME

    def width(self, rows: Sequence[_Row]) -> int:
        """Return the cells needed for all columns but the names."""
        widths = (max(len(row.figures[column]) for row in rows) for column in self.columns)
        heads = (max(map(len, title.split("\n"))) for title in self.titles)
        return sum(self.gap + max(pair) for pair in zip(widths, heads, strict=True))


def show_plan(study: Study, forecasts: Sequence[Forecast], console: Console) -> None:
    """Print one table for each kind of model (a method, or the same without unlabeled cases), and notes on all.

    A terminal too narrow for the whole table wraps names and drops the column "least". Output that is not a terminal
    has no width limit and gets the whole table.
    """
    rows = [_row(model, forecast) for model, forecast in zip(study.models, forecasts, strict=True)]
    layout = _fit(rows, console.width if console.is_terminal else None)
    kinds = Counter(row.kind for row in rows)
    for kind in kinds:
        console.print(_table(kind, [row for row in rows if row.kind == kind], layout), crop=False)
        console.print()
    for line in _notes(study, forecasts, kinds, _LEAST in layout.columns):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _row(model: StudyModel, forecast: Forecast) -> _Row:
    takes, labeled, total = model.takes_unlabeled, model.labeled, model.total
    any_unlabeled = model.any_unlabeled if model.counts_tell else forecast.any_unlabeled
    kind = model.method if any_unlabeled is not False or not takes else f"{model.method} without unlabeled data"
    unlabeled = {None: "if any", False: _NONE, True: "the rest"}[any_unlabeled]
    if any_unlabeled and isinstance(total, int) and isinstance(labeled, int):
        unlabeled = str(total - labeled)
    batch = f"{forecast.batch.labeled}+{forecast.batch.unlabeled}"
    memory, least = (_NONE if size is None else f"{size / 2**30:.1f}" for size in (forecast.memory, forecast.least))
    hours = _NONE if forecast.hours is None else f"{forecast.hours:,.2f}"
    return _Row(kind, model.name, (str(labeled), unlabeled, f"{forecast.steps:,}", batch, memory, least, hours))


def _fit(rows: Sequence[_Row], width: int | None) -> _Layout:
    """Return the first layout that leaves enough room for the names; without a width all fit."""
    every = tuple(range(len(_TITLES)))
    few = tuple(column for column in every if column != _LEAST)
    folded = tuple(title.replace(" ", "\n") for title in _TITLES)
    longest = max(len("model"), *(len(row.name) for row in rows))
    layouts = (
        _Layout(every, _TITLES, gap=2),
        _Layout(every, folded, gap=1),
        _Layout(few, tuple(folded[column] for column in few), gap=1),
    )
    for layout in layouts:
        room = longest if width is None else width - layout.width(rows)
        if room >= min(longest, _NAME):
            break
    # If even that does not fit, lines wrapped by the terminal are better than figures cut off.
    return _Layout(layout.columns, layout.titles, layout.gap, min(longest, max(room, len("model"))))


def _table(kind: str, rows: Sequence[_Row], layout: _Layout) -> Table:
    title = escape(f"{kind}: {counted(len(rows), 'model')}")
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False, title=title, title_justify="left")
    table.padding = (0, layout.gap - 1, 0, 0)  # the box's divider is the rest of the gap
    table.width = layout.name + layout.width(rows)
    table.add_column("model", overflow="fold", width=layout.name)
    for heading in layout.titles:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(escape(row.name), *(row.figures[column] for column in layout.columns))
    return table


def _notes(study: Study, forecasts: Sequence[Forecast], kinds: Counter[str], has_least: bool) -> list[str]:
    """Return the number of models, the meaning of the columns, and what is unknown."""
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    split = study.models[0].recipe.split
    cases = f"{_number(split.test)} test, {_number(split.validation)} validation"
    folds = sorted({model.fold for model in study.models if model.fold is not None})
    if folds:
        cases = f"{_number(split.test)} test; each validates one fold of its labeled cases"
    repeated = f"Seeds: {', '.join(map(str, study.recipe.seeds))}."
    if folds:
        repeated += f" Folds: {', '.join(map(str, folds))}."
    lines = [
        f"{counted(len(study.models), 'model')}: {said}. {repeated}",
        f"Cases shared by all models: {cases}. Labeled subsets are nested; a total includes its labeled cases.",
    ]
    if all(found.memory is None for found in forecasts):
        lines.append("Memory: unknown; it depends on the numbers of modalities and classes in the data.")
    else:
        least = "least: in the most economical mode" if has_least else "a wider terminal also shows the least"
        lines.append(f"Memory: estimate for a float32 step in the fastest step mode; {least}.")
    hours = [found.hours for found in forecasts if found.hours is not None]
    if len(hours) < len(forecasts):
        lines.append("Hours: not measured; add --measure to time a step of each kind of model on this machine.")
    else:
        lines.append(f"Hours: steps only, from a timed step on this machine; {sum(hours):,.1f} in total.")
    return lines


def _number(asked: object) -> str:
    return str(len(asked)) if isinstance(asked, list) else str(asked)
