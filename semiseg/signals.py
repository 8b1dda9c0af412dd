"""Ctrl-C, SIGTERM and SIGUSR1: a stop request between two training steps, and an orderly exit elsewhere."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

from semiseg.errors import Interrupted

STOPPING: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
"""Signals that stop a run: Ctrl-C, the system's SIGTERM, and SIGUSR1, with which a cluster warns of the time limit."""


class StopRequests:
    """A context that stores the first signal in ``signum``; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.signum = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequests":
        if in_main_thread():
            for signum in STOPPING:
                self._before[signum] = signal.signal(signum, self._remember)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before.clear()

    def _remember(self, signum: int, frame: FrameType | None) -> None:
        if self.signum and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum


def in_main_thread() -> bool:
    """Return whether this thread may handle signals."""
    return threading.current_thread() is threading.main_thread()


_HOW = "To resume, run the same command with --resume, or call semiseg.run(…, resume=True) from Python."


@contextmanager
def interruptible(folder: Path, how: str = _HOW) -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and SIGUSR1 outside of training steps into Interrupted, which explains how to resume.

    All writes are atomic, so the block may be interrupted anywhere.
    """
    told = [signum for signum in STOPPING if signum != signal.SIGINT] if in_main_thread() else []
    before = {signum: signal.signal(signum, _terminate) for signum in told}
    try:
        yield
    except KeyboardInterrupt as error:
        signum = error.args[0] if error.args else signal.SIGINT
        raise Interrupted(
            f"Stopped by {signal.Signals(signum).name}; finished work is kept in {folder}.",
            how,
            signum,
        ) from None
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signum)
