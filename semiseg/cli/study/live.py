"""The live table of a study's models, fitted to the terminal, and the estimated time left for all of them."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from rich.box import SIMPLE
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from semiseg.messages import counted
from semiseg.progress import duration
from semiseg.study.status import Status

_NONE = "–"
_COLORS = {"running": "cyan", "elsewhere": "cyan", "done": "green", "kept": "green", "failed": "red"}
_ORDER = ("failed", "running", "elsewhere", "queued", "waiting", "done", "kept")
# Each failure is also printed above the table, so that many failures do not displace running models.
_ROOM = ("running", "elsewhere", "failed", "queued", "waiting", "done", "kept")
_FIGURES = 55
"""Cells for all columns but the names: a long state wraps before a name does, which would take a line in every row."""
ACTIVE = frozenset({"running", "elsewhere"})


class TimeLeft:
    """Estimates the time until all models are over, from the pace of those observed in training."""

    def __init__(self) -> None:
        self._paces: dict[str, float] = {}

    def __call__(self, statuses: Sequence[Status]) -> float | None:
        """Return the seconds left; None if no pace is known yet, or nothing runs."""
        for status in statuses:
            ahead = status.epochs - status.progress.epoch
            if status.progress.left is not None and ahead > 0:
                self._paces[status.name] = status.progress.left / ahead
        unfinished = [status for status in statuses if not status.is_over]
        at_once = sum(status.state in ACTIVE for status in unfinished)
        if not self._paces or not at_once:
            return None
        typical = fmean(self._paces.values())
        each = [self._seconds(status, typical) for status in unfinished]
        # Slots run empty at the end: no study ends before its longest model.
        return max(sum(each) / at_once, *each)

    def _seconds(self, status: Status, typical: float) -> float:
        if status.progress.left is not None:
            return status.progress.left
        return self._paces.get(status.name, typical) * (status.epochs - status.progress.epoch)


class StatusView:
    """All models: state, epoch, Dice of the last validation, and remaining training time.

    Models that do not fit the terminal's height are counted above the table: first those that had scores before, then
    done and waiting ones, and last running ones.
    """

    def __init__(self, statuses: Sequence[Status], left: float | None = None, *, whole: bool = False) -> None:
        """``left``: seconds until all are over, if known; ``whole``: list all models regardless of the height."""
        self._statuses = sorted(statuses, key=lambda status: _place(status, _ROOM))
        self._left, self._whole = left, whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render as many models as fit; names and states may take more than one line."""
        height, options = options.size.height - 1, options.reset_height()  # one line is reserved for the cursor
        count = len(self._statuses) if self._whole else min(len(self._statuses), height)
        while True:
            rows = [self._table(count, options.max_width)] if count else []
            view = Group(self._title(count or len(self._statuses)), *rows)
            excess = len(console.render_lines(view, options, pad=False)) - height
            if self._whole or excess <= 0 or not count:
                yield view
                return
            count = max(count - max(1, excess // 2), 0)

    def _title(self, count: int) -> Text:
        title = f"{counted(len(self._statuses), 'model')}: {summary(self._statuses, self._left)}"
        folded = _counts(self._statuses[count:])
        return Text(f"{title}; not listed: {folded}" if folded else title, style="bold")

    def _table(self, count: int, width: int) -> Table:
        table = Table(box=SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        name = max(len(status.name) for status in self._statuses)
        table.add_column("model", overflow="fold", width=min(name, max(width - _FIGURES, 12)))
        table.add_column("state", overflow="fold")
        for heading in ("epoch", "validation Dice", "left"):
            table.add_column(heading, justify="right", no_wrap=True)
        for status in sorted(self._statuses[:count], key=lambda status: _place(status, _ORDER)):
            color = _COLORS.get(status.state, "dim")
            epoch, dice, left = figures(status)
            table.add_row(escape(status.name), Text(state(status), color), epoch, dice or _NONE, left or _NONE)
        return table


def summary(statuses: Sequence[Status], left: float | None) -> str:
    """Return ``5 running, 19 done; about 2 h 10 min left``; without an estimate only the counts."""
    return _counts(statuses) + (f"; about {duration(left)} left" if left else "")


def state(status: Status) -> str:
    """Return the state, with the holder of a run that is elsewhere."""
    return f"elsewhere: {status.where}" if status.state == "elsewhere" and status.where else status.state


def figures(status: Status) -> tuple[str, str, str]:
    """Return the epoch, the Dice of the last validation, and the training time left; empty if unknown."""
    progress = status.progress
    dice = "" if progress.dice is None else f"{progress.dice:.3f}"
    left = "" if progress.left is None or status.is_over else duration(progress.left)
    return f"{progress.epoch}/{status.epochs}", dice, left


def _counts(statuses: Sequence[Status]) -> str:
    counts: Counter[str] = Counter(status.state for status in sorted(statuses, key=lambda s: _place(s, _ORDER)))
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _place(status: Status, order: Sequence[str]) -> int:
    # An unknown state must not stop a study during training.
    return order.index(status.state) if status.state in order else len(order)
