"""The time that the processes of a run wait for one another, and the error that names a missing one."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from semiseg.errors import RecipeError, TrainingError
from semiseg.messages import some

VARIABLE = "SEMISEG_WAIT_MINUTES"
_DAY = 24.0 * 60
"""The main process may prepare or score all cases while the others wait."""
_SILENCE = ("timed out", "timeout", "connection closed", "connection reset", "broken pipe")


def patience() -> timedelta:
    """Return how long processes wait for one another: SEMISEG_WAIT_MINUTES, a day by default. Raises RecipeError."""
    text = os.environ.get(VARIABLE, "").strip() or str(_DAY)
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes <= 365 * _DAY:
        raise RecipeError(f"The environment variable {VARIABLE} is {text!r}, not a number of minutes above 0.")
    return timedelta(minutes=minutes)


class Together:
    """Counts this process's collective operations in a shared store, so that a lagging process can be named."""

    def __init__(self, store: Any, rank: int, world: int) -> None:
        self._store, self._rank, self._world = store, rank, world

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Run a block in which all processes take part. Raises TrainingError, naming those that did not join."""
        count = self._store.add(self._key(self._rank), 1)
        try:
            yield
        except RuntimeError as error:
            if not any(word in str(error).lower() for word in _SILENCE):
                raise
            raise TrainingError(*self._missing(count)) from error

    def _missing(self, count: int) -> tuple[str, str]:
        late: list[str] = []
        with suppress(RuntimeError):  # the process that held the counts may be the missing one
            others = [rank for rank in range(self._world) if rank != self._rank]
            late = [f"rank {rank}" for rank in others if self._store.add(self._key(rank), 0) < count]
        who = f"of {self._world} processes {some(late, 8) if late else 'another one'}"
        what = f"Rank {self._rank} timed out: {who} did not respond (frozen or ended)."
        return what, (
            "Check the output of that process, then run the same command again with --resume. Processes wait for one"
            f" another for {patience().total_seconds() / 60:g} minutes; {VARIABLE} sets it."
        )

    @staticmethod
    def _key(rank: int) -> str:
        return f"semiseg-{rank}"
