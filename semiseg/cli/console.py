"""Progress output of commands: rich bars on a terminal, plain lines elsewhere, both on standard error."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from semiseg.progress import Meter, Reporter, duration

QUIET_SECONDS = 30.0
NARROW = 100
"""Width of a terminal, in columns, below which the bar is shortened by half for the figures."""


def make_reporter(quiet: bool = False) -> Reporter:
    """Return the reporter that suits standard error."""
    if quiet:
        return Reporter()
    return RichReporter() if sys.stderr.isatty() else PlainReporter()


def show_progress() -> Reporter:
    """Return a reporter for programs and notebooks: live bars where there can be any, otherwise lines.

    Bars need a terminal, or a notebook with ipywidgets. Lines go to standard error, in a notebook to standard output.
    """
    from rich.console import Console

    if Console().is_jupyter:
        return RichReporter() if find_spec("ipywidgets") else PlainReporter(to_output=True)
    return make_reporter()


def figures(info: Mapping[str, float | str] | None) -> str:
    """Format figures as text: ``epoch 3/10  loss 0.412``."""
    shown = (
        f"{name} {value if isinstance(value, str) else format(value, '.3f')}" for name, value in (info or {}).items()
    )
    return "  ".join(shown)


class PlainReporter(Reporter):
    """Lines for logs: the end of each piece of work, and occasional lines before.

    They go to standard error, or ``to_output``.
    """

    def __init__(self, to_output: bool = False) -> None:
        self.to_output = to_output

    @contextmanager
    def work(self, title: str, total: int, done: int = 0, unit: str = "") -> Iterator[Meter]:
        """Report a piece of work as lines."""
        meter = _PlainMeter(self, title, total, done, unit)
        yield meter
        meter.close()

    def say(self, text: str) -> None:
        """Print one line."""
        print(text, file=sys.stdout if self.to_output else sys.stderr, flush=True)


class _PlainMeter(Meter):
    def __init__(self, reporter: Reporter, title: str, total: int, done: int, unit: str) -> None:
        self.reporter, self.title, self.total, self.done, self.unit = reporter, title, total, done, unit
        self.first, self.started, self.spoken = done, time.monotonic(), time.monotonic()
        self.info: Mapping[str, float | str] | None = None

    def advance(self, amount: int = 1, info: Mapping[str, float | str] | None = None) -> None:
        self.at(self.done + amount, info)

    def at(self, done: int, info: Mapping[str, float | str] | None = None) -> None:
        self.done, self.info, now = done, info, time.monotonic()
        if now - self.spoken >= QUIET_SECONDS and done < self.total:
            self.spoken = now
            left = (now - self.started) / max(done - self.first, 1) * (self.total - done)
            self._say(f"  about {duration(left)} left")

    def close(self) -> None:
        self._say(f"  done in {duration(time.monotonic() - self.started)}")

    def _say(self, tail: str) -> None:
        unit = f" {self.unit}s" if self.unit else ""
        text = f"{self.title}: {self.done} of {self.total}{unit}  {figures(self.info)}".rstrip()
        self.reporter.say(text + tail)


class RichReporter(Reporter):
    """A live bar with an estimate of the time left."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)

    @contextmanager
    def work(self, title: str, total: int, done: int = 0, unit: str = "") -> Iterator[Meter]:
        """Report a piece of work as a bar."""
        from rich.progress import Progress

        with Progress(*_columns(unit, self.console.width < NARROW), console=self.console, transient=False) as progress:
            task = progress.add_task(title, total=total, completed=done, figures="")
            yield _RichMeter(progress, task)

    def say(self, text: str) -> None:
        """Print one line above the bar."""
        self.console.print(text, markup=False, highlight=False)


def _columns(unit: str, narrow: bool) -> tuple[Any, ...]:
    from rich.progress import BarColumn, MofNCompleteColumn, Task, TextColumn, TimeRemainingColumn
    from rich.table import Column
    from rich.text import Text

    class Figures(TextColumn):
        """A column that is truncated in a narrow terminal, so that the time left is not."""

        def get_table_column(self) -> Column:
            return Column(no_wrap=False)  # columns that may wrap shrink first

        def render(self, task: Task) -> Text:
            return Text(task.fields["figures"], style="dim", no_wrap=True, overflow="ellipsis")

    return (
        TextColumn("{task.description}"),
        BarColumn(bar_width=10 if narrow else 20),
        MofNCompleteColumn(),
        TextColumn(unit + "s" if unit else ""),
        TimeRemainingColumn(compact=True),
        Figures(""),
    )


class _RichMeter(Meter):
    def __init__(self, progress: Any, task: Any) -> None:
        self.progress, self.task = progress, task

    def advance(self, amount: int = 1, info: Mapping[str, float | str] | None = None) -> None:
        self.progress.update(self.task, advance=amount, figures=figures(info))

    def at(self, done: int, info: Mapping[str, float | str] | None = None) -> None:
        self.progress.update(self.task, completed=done, figures=figures(info))
