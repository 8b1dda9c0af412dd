"""Progress reporting: the interface through which the engine reports, implemented by front ends."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Meter:
    """The progress of one piece of work. The base class does nothing."""

    def advance(self, amount: int = 1, info: Mapping[str, float | str] | None = None) -> None:
        """Report that ``amount`` more is done; ``info`` holds figures to show next to it."""

    def at(self, done: int, info: Mapping[str, float | str] | None = None) -> None:
        """Report that ``done`` is done in total."""


class Reporter:
    """The output channel of a run. The base class is silent, as a library should be."""

    @contextmanager
    def work(self, title: str, total: int, done: int = 0, unit: str = "") -> Iterator[Meter]:
        """Open a piece of work with ``total`` parts, of which ``done`` are already done."""
        yield Meter()

    def say(self, text: str) -> None:
        """Show one line to the user."""


def duration(seconds: float) -> str:
    """Return seconds as ``1 h 05 min``, ``3 min 20 s`` or ``12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
