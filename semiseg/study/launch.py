"""Running a study's jobs, as many at a time as the launcher allows; a failed one does not stop the others."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from semiseg.errors import RunError
from semiseg.interfaces.launcher import Job, Launcher, Running
from semiseg.io.lock import holder, is_here, told
from semiseg.runs.folder import RunFolder
from semiseg.signals import in_main_thread
from semiseg.study.status import Progress, Status, read_progress

Watcher = Callable[[Sequence[Status]], None]

APPEARS = 60.0
"""Seconds until files written on another machine are surely visible here; network file systems cache lookups."""
RETRY = 60.0
"""Seconds between a refused start and the next attempt."""


def run_jobs(
    jobs: Sequence[Job], launcher: Launcher, watch: Watcher = lambda statuses: None, *, pause: float = 1.0
) -> list[Status]:
    """Run all jobs that have no scores yet, and return how each ended.

    If another process holds a job's folder, such as one that outlived a killed study, wait for it and continue the job
    where it stopped. ``watch`` is called every ``pause`` seconds with the state of all jobs. On an interruption, local
    jobs save their state and end before the exception propagates.

    If the launcher refuses a job, retry later. Raises RunError if no job is running then.
    """
    crew = _Crew(jobs, launcher)
    with _hangup_interrupts():
        try:
            while True:
                crew.advance()
                watch(crew.statuses)
                if all(status.is_over for status in crew.statuses):
                    return crew.statuses
                time.sleep(pause)
        except BaseException:
            if not launcher.survives:
                _stop(crew.running)
            raise


class _Crew:
    """The jobs and their states."""

    def __init__(self, jobs: Sequence[Job], launcher: Launcher) -> None:
        self.statuses = [Status(job.name, job.epochs) for job in jobs]
        self.running: dict[str, Running] = {}
        self._launcher = launcher
        self._work = list(zip(jobs, self.statuses, strict=True))
        self._elsewhere: dict[str, Mapping[str, Any]] = {}
        self._ended: dict[str, float] = {}
        self._next_try = time.monotonic()

    def advance(self) -> None:
        """Update all states, then start jobs as there is room; GPU holders must be known before a GPU is chosen."""
        for job, status in self._work:
            if not status.is_over:
                self._look(job, status)
        if time.monotonic() < self._next_try:
            return
        for job, status in self._work:
            if status.state == "waiting" and self._has_room() and not self._start(job, status):
                self._next_try = time.monotonic() + RETRY
                if not self.running and not self._elsewhere:
                    fix = "Run fewer at a time (--jobs N), or correct the options of the study's launcher."
                    raise RunError(f"No model can be started: {status.reason}", fix)
                return

    def _look(self, job: Job, status: Status) -> None:
        self._elsewhere.pop(job.name, None)
        status.where = ""
        if job.name in self.running:
            self._follow(job, status)
        elif RunFolder(job.folder).summary.exists() and not job.again:
            status.state = "done" if status.state == "elsewhere" else "kept"
            status.progress = Progress(job.epochs, read_progress(RunFolder(job.folder), job.epochs).dice)
        elif found := self._launcher.find(job):
            self.running[job.name] = found
            self._follow(job, status)
        elif held := holder(job.folder):
            self._elsewhere[job.name] = held
            status.state, status.where = "elsewhere", told(held)
            status.progress = read_progress(RunFolder(job.folder), job.epochs)
        else:
            status.state = "waiting"

    def _beside(self) -> list[Mapping[str, Any]]:
        return [held for held in self._elsewhere.values() if is_here(held)]

    def _has_room(self) -> bool:
        return len(self.running) + len(self._beside()) < self._launcher.slots

    def _start(self, job: Job, status: Status) -> bool:
        started = self._launcher.start(job, [gpu for held in self._beside() for gpu in _gpus(held)])
        if started is None:
            status.reason = self._launcher.refusal
            return False
        self.running[job.name] = started
        status.state, status.reason = "queued" if started.queued else "running", ""
        return True

    def _follow(self, job: Job, status: Status) -> None:
        running = self.running[job.name]
        code = running.poll()
        if code is None or (code == 0 and self._may_appear(job)):
            status.state = "queued" if running.queued else "running"
            status.progress = read_progress(RunFolder(job.folder), job.epochs)
            return
        del self.running[job.name]
        if code == 0 and RunFolder(job.folder).summary.exists():
            status.state = "done"
            status.progress = Progress(job.epochs, read_progress(RunFolder(job.folder), job.epochs).dice)
        else:
            status.state, status.code, status.reason = "failed", code, running.reason or _ending(code)

    def _may_appear(self, job: Job) -> bool:
        """Return whether missing scores may still become visible."""
        if not self._launcher.survives or RunFolder(job.folder).summary.exists():
            return False
        return time.monotonic() - self._ended.setdefault(job.name, time.monotonic()) < APPEARS


def _ending(code: int) -> str:
    if code < 0:
        names = {member.value: member.name for member in signal.Signals}
        return f"was killed by {names.get(-code, f'signal {-code}')}"
    return f"ended with exit code {code}" if code else "ended well, but left no scores"


def _gpus(holder: Mapping[str, Any]) -> list[str]:
    """Return the GPUs of a lock's holder, as in CUDA_VISIBLE_DEVICES; without that variable, the first one."""
    named = holder.get("gpus")
    return ["0"] if named is None else [name.strip() for name in str(named).split(",") if name.strip()]


def _stop(running: dict[str, Running]) -> None:
    """Stop running jobs and wait for them; a second Ctrl-C returns at once."""
    for job in running.values():
        job.stop()
    with suppress(KeyboardInterrupt):
        while any(job.poll() is None for job in running.values()):
            time.sleep(0.1)


@contextmanager
def _hangup_interrupts() -> Iterator[None]:
    """Treat a closed terminal like Ctrl-C: jobs run in their own sessions, and would outlive the study."""
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is None or not in_main_thread() or signal.getsignal(hangup) is not signal.SIG_DFL:  # nohup ignores it
        yield
        return
    signal.signal(hangup, _interrupt)
    try:
        yield
    finally:
        signal.signal(hangup, signal.SIG_DFL)


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signum)
