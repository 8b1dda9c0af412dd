"""Studies on the terminal: the plan's tables, and the live table of running models."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from rich.box import SIMPLE
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from semiseg.cli.console import QUIET_SECONDS, duration
from semiseg.study.forecast import Forecast
from semiseg.study.launch import Watcher
from semiseg.study.load import Study
from semiseg.study.models import StudyModel
from semiseg.study.status import Status

_NONE = "–"
_COLORS = {"running": "cyan", "elsewhere": "cyan", "done": "green", "kept": "green", "failed": "red"}


def plan_tables(study: Study, forecasts: Sequence[Forecast]) -> Iterator[Table]:
    """One table for each kind of model: a method, and the same without unlabeled cases."""
    pairs = list(zip(study.models, forecasts, strict=True))
    pairs.sort(key=lambda pair: _kinds(study).index(_kind(pair[0])))
    for kind, group in groupby(pairs, key=lambda pair: _kind(pair[0])):
        members = list(group)
        table = _table(f"{kind}: {len(members)} models")
        table.add_column("model", overflow="fold", min_width=14)
        for title in ("labeled", "unlabeled", "steps", "batch", "memory", "least", "hours"):
            table.add_column(title, justify="right", no_wrap=True)
        for model, forecast in members:
            table.add_row(escape(model.name), *_planned(model, forecast))
        yield table


def plan_notes(study: Study, forecasts: Sequence[Forecast]) -> list[str]:
    """How many models there are, what the columns mean, and what is not known."""
    counts = Counter(_kind(model) for model in study.models)
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    lines = [f"{len(study.models)} models: {said}. Seeds: {', '.join(map(str, study.recipe.seeds))}."]
    split = study.models[0].recipe.split
    cases = [f"{_number(split.test)} test", f"{_number(split.validation)} validation"]
    lines.append(f"Cases common to all: {', '.join(cases)}. Labeled cases are nested, and a total holds its labeled.")
    known = any(found.memory is not None for found in forecasts)
    lines.append(
        "Memory: of a step in float32, by formula, in the fastest step mode; least: in the one that takes least of it."
        if known
        else "Memory: unknown, since the number of modalities and classes is not known without the data."
    )
    hours = [found.hours for found in forecasts]
    if None in hours:
        lines.append("Hours: unmeasured; --measure times a step of each kind of model here.")
    else:
        total = sum(h for h in hours if h is not None)
        lines.append(f"Hours: of the steps alone, from a timed step on this machine; {total:,.1f} in all.")
    return lines


@contextmanager
def watching(quiet: bool) -> Iterator[Watcher]:
    """Shows states as they change: a live table on a terminal, lines elsewhere, nothing where ``quiet``."""
    if quiet:
        yield lambda statuses: None
    elif sys.stderr.isatty():
        with Live(console=Console(stderr=True), auto_refresh=False, transient=False) as live:
            yield lambda statuses: live.update(status_table(statuses), refresh=True)
    else:
        yield _Lines().watch


def status_table(statuses: Sequence[Status]) -> Table:
    """All models: state, epoch, the last validation's Dice, and the training time that is left."""
    counts = Counter(status.state for status in statuses)
    table = _table(", ".join(f"{count} {state}" for state, count in counts.items()))
    table.add_column("model", overflow="fold", min_width=20)
    table.add_column("state", no_wrap=True)
    for title in ("epoch", "validation Dice", "left"):
        table.add_column(title, justify="right", no_wrap=True)
    for status in statuses:
        color = _COLORS.get(status.state, "dim")
        table.add_row(escape(status.name), f"[{color}]{status.state}[/]", *_figures(status))
    return table


class _Lines:
    """Lines for logs: every change of a state, and now and then how far the running ones are."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._spoken = time.monotonic()

    def watch(self, statuses: Sequence[Status]) -> None:
        """Say what has changed."""
        due = time.monotonic() - self._spoken >= QUIET_SECONDS
        for status in statuses:
            changed = self._states.get(status.name, "waiting") != status.state
            self._states[status.name] = status.state
            if changed or (due and status.state in {"running", "elsewhere"}):
                epoch, dice, left = _figures(status)
                print(
                    f"{status.name}: {status.state}, epoch {epoch}, validation Dice {dice}, {left} left",
                    file=sys.stderr,
                    flush=True,
                )
        if due:
            self._spoken = time.monotonic()


def _figures(status: Status) -> tuple[str, str, str]:
    progress = status.progress
    dice = _NONE if progress.dice is None else f"{progress.dice:.3f}"
    left = _NONE if progress.left is None or status.is_over else duration(progress.left)
    return f"{progress.epoch}/{status.epochs}", dice, left


def _kind(model: StudyModel) -> str:
    return (
        model.method if model.any_unlabeled or not model.takes_unlabeled else f"{model.method} without unlabeled data"
    )


def _kinds(study: Study) -> list[str]:
    return list(dict.fromkeys(_kind(model) for model in study.models))


def _planned(model: StudyModel, forecast: Forecast) -> tuple[str, ...]:
    unlabeled = _NONE
    if model.any_unlabeled:
        known = isinstance(model.total, int) and isinstance(model.labeled, int)
        unlabeled = str(model.total - model.labeled) if known else "the rest"  # type: ignore[operator]
    batch = f"{forecast.batch.labeled}+{forecast.batch.unlabeled}"
    memory, least = (_NONE if b is None else f"{b / 2**30:.1f} GiB" for b in (forecast.memory, forecast.least))
    hours = "unmeasured" if forecast.hours is None else f"{forecast.hours:.2f}"
    return str(model.labeled), unlabeled, f"{forecast.steps:,}", batch, memory, least, hours


def _number(asked: object) -> str:
    return str(len(asked)) if isinstance(asked, list) else str(asked)


def _table(title: str) -> Table:
    return Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, title=escape(title), title_justify="left")
