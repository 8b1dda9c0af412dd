"""How long work is followed: what the engine tells, and whoever listens."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Meter:
    """One piece of work. The base class is deaf."""

    def advance(self, amount: int = 1, info: Mapping[str, float | str] | None = None) -> None:
        """``amount`` more is done; ``info`` are figures to show beside it."""

    def at(self, done: int, info: Mapping[str, float | str] | None = None) -> None:
        """``done`` is done in all."""


class Reporter:
    """Where a run speaks. The base class is silent, which is right for a library."""

    @contextmanager
    def work(self, title: str, total: int, done: int = 0, unit: str = "") -> Iterator[Meter]:
        """A piece of work with ``total`` parts, ``done`` of them before."""
        yield Meter()

    def say(self, text: str) -> None:
        """One line for the user."""


def duration(seconds: float) -> str:
    """Seconds as ``1 h 05 min``, ``3 min 20 s`` or ``12 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
