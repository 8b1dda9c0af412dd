"""Running a study's jobs: as many at a time as the launcher has room for, and one that fails leaves the rest alone."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from semiseg.engine.lock import holder
from semiseg.study.jobs import Job, Launcher, Running
from semiseg.study.status import Progress, Status, read_progress

Watcher = Callable[[Sequence[Status]], None]


def run_jobs(
    jobs: Sequence[Job], launcher: Launcher, watch: Watcher = lambda statuses: None, *, pause: float = 1.0
) -> list[Status]:
    """Run all jobs that have no scores yet, and return how each ended.

    A job whose folder another process holds, such as one that outlived a killed study, is waited for and taken up
    where it leaves off. ``watch`` is called every ``pause`` seconds with the state of all. Where this is interrupted,
    local jobs save their state and end before the exception goes on.
    """
    statuses = {job.name: Status(job.name, job.epochs) for job in jobs}
    running: dict[str, Running] = {}
    try:
        while True:
            for job in jobs:
                _advance(job, statuses[job.name], running, launcher)
            watch(list(statuses.values()))
            if all(status.is_over for status in statuses.values()):
                return list(statuses.values())
            time.sleep(pause)
    except BaseException:
        if not launcher.survives:
            _stop(running)
        raise


def _advance(job: Job, status: Status, running: dict[str, Running], launcher: Launcher) -> None:
    if status.is_over:
        return
    if job.name in running:
        status.progress = read_progress(job.folder, job.epochs)
        code = running[job.name].poll()
        if code is not None:
            del running[job.name]
            _end(job, status, code)
        return
    if job.folder.summary.exists():
        status.state = "done" if status.state == "elsewhere" else "kept"
        status.progress = Progress(job.epochs, read_progress(job.folder, job.epochs).dice)
    elif holder(job.folder.path):
        status.state = "elsewhere"
        status.progress = read_progress(job.folder, job.epochs)
    elif len(running) < launcher.slots:
        running[job.name] = launcher.start(job)
        status.state = "running"
    else:
        status.state = "waiting"


def _end(job: Job, status: Status, code: int) -> None:
    if code == 0 and job.folder.summary.exists():
        status.state, status.progress = "done", Progress(job.epochs, status.progress.dice)
    else:
        status.state, status.code = "failed", code


def _stop(running: dict[str, Running]) -> None:
    """Stop what runs and wait for it; a second Ctrl-C leaves at once."""
    for job in running.values():
        job.stop()
    with suppress(KeyboardInterrupt):
        while any(job.poll() is None for job in running.values()):
            time.sleep(0.1)
