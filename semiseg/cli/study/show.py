"""Display of a study's running models: a live table on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from semiseg.cli.console import QUIET_SECONDS
from semiseg.cli.study.live import ACTIVE, StatusView, TimeLeft, figures, state, summary
from semiseg.messages import counted
from semiseg.study.launch import Watcher
from semiseg.study.status import Status


@contextmanager
def watching(quiet: bool) -> Iterator[Watcher]:
    """Show states as they change: a live table on a terminal, lines elsewhere, nothing if ``quiet``."""
    if quiet:
        yield lambda statuses: None
    elif sys.stderr.isatty():
        with live_table(Console(stderr=True)) as watch:
            yield watch
    else:
        yield Lines().watch


@contextmanager
def live_table(console: Console) -> Iterator[Watcher]:
    """Keep a table up to date, with a line above it for each failure; at the end it lists all models."""
    live = Live(console=console, auto_refresh=False)
    time_left, told, latest = TimeLeft(), set[str](), list[Status]()

    def watch(statuses: Sequence[Status]) -> None:
        latest[:] = statuses
        live.update(StatusView(statuses, time_left(statuses)))
        live.start()  # not earlier: while the study is being prepared, its progress bars use the terminal
        for status in statuses:
            if status.state == "failed" and status.name not in told:
                told.add(status.name)
                # Styled as Text: a style argument would also apply to the table, which is reprinted with it.
                console.print(Text(failure(status), "red"), soft_wrap=True)
        live.refresh()

    try:
        yield watch
    finally:
        if latest:
            live.update(StatusView(latest, time_left(latest), whole=True))
        live.stop()


class Lines:
    """Lines for logs: each change of state once, and at intervals the progress of running models and of all."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._said: dict[str, str] = {}
        self._spoken = time.monotonic()
        self._time_left = TimeLeft()

    def watch(self, statuses: Sequence[Status]) -> None:
        """Print what has changed."""
        due = time.monotonic() - self._spoken >= QUIET_SECONDS
        left = self._time_left(statuses)
        for status in statuses:
            changed = self._states.get(status.name, "waiting") != state(status)
            self._states[status.name] = state(status)
            if changed or (due and status.state in ACTIVE):
                self._say(status.name, failure(status) if status.state == "failed" else _line(status))
        if due:
            self._spoken = time.monotonic()
            self._say("", f"{counted(len(statuses), 'model')}: {summary(statuses, left)}")

    def _say(self, name: str, line: str) -> None:
        if self._said.get(name) != line:
            self._said[name] = line
            print(line, file=sys.stderr, flush=True)


def failure(status: Status) -> str:
    """Describe a failed model: its name, the reason, and the log file, if known."""
    code, why, log = status.code, status.reason, getattr(status, "log", None)
    if not why and code is not None:
        why = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{status.name} failed" + (f": it {why}" if why else "") + (f"; log: {log}" if log else "")


def _line(status: Status) -> str:
    epoch, dice, left = figures(status)
    parts = [f"{status.name}: {state(status)}", f"epoch {epoch}"]
    parts += [f"validation Dice {dice}"] if dice else []
    parts += [f"{left} left"] if left else []
    return ", ".join(parts)
