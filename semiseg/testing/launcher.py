"""Contract tests of launchers: subclass ``LauncherContract`` and provide a ``launcher_class`` fixture.

Example::

    class TestMyLauncher(LauncherContract):
        @pytest.fixture
        def launcher_class(self) -> type[Launcher]:
            return MyLauncher

For a cluster, run the tests in a folder that its nodes share: ``pytest --basetemp=FOLDER``.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from semiseg.errors import SemisegError
from semiseg.interfaces.launcher import Job, Launcher, Running
from semiseg.registry import make_options


@dataclass(frozen=True, slots=True)
class PythonJob(Job):
    """A job whose command is a Python text, in place of ``semiseg run``."""

    code: str

    @property
    def command(self) -> list[str]:
        """Command, with this Python."""
        return [sys.executable, "-c", self.code]


def make_job(folder: Path, code: str, name: str = "model") -> PythonJob:
    """Return a job that runs a Python text, with its files in a folder."""
    return PythonJob(name, folder / f"{name}.yaml", folder / name, folder / "logs" / f"{name}.log", 1, code)


_WAITS = """
import pathlib, signal, sys, time

def save(*_):
    print("saved", flush=True)
    sys.exit(143)

signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
latest = time.monotonic() + {most}
while not pathlib.Path({go!r}).exists() and time.monotonic() < latest:
    time.sleep(0.02)
"""


class LauncherContract:
    """Contract of every launcher. The fixture ``launcher_class`` returns the class under test."""

    patience: ClassVar[float] = 120.0
    """Seconds to wait for a job: more than it waits in the queue of your cluster."""

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        """Return the options of the launcher, as in a study recipe."""
        return {}

    @pytest.fixture
    def make(
        self, launcher_class: type[Launcher], options: Mapping[str, Any], tmp_path: Path
    ) -> Callable[..., Launcher]:
        """Return a function that sets the launcher up as another command on the same study does."""

        def make(jobs: int | None = None, **more: Any) -> Launcher:
            made = make_options(launcher_class, {**options, **more})
            return launcher_class(made, folder=tmp_path / "jobs" / "tested", jobs=jobs)

        return make

    def test_a_job_that_succeeds_ends_with_code_0(self, make: Callable[..., Launcher], tmp_path: Path) -> None:
        """Its output is appended to its log, whose folder may be missing; its code stays 0."""
        launcher, jobs = make(), [make_job(tmp_path, f"print({text!r})") for text in ("first", "second")]
        for job in jobs:
            running = self._start(launcher, job)
            assert self._end(running) == 0, _log(job)
            assert running.poll() == 0
            assert not running.queued
        said = _log(jobs[0])
        assert "first" in said
        assert "second" in said.partition("first")[2]

    def test_a_job_that_fails_ends_with_its_code(self, make: Callable[..., Launcher], tmp_path: Path) -> None:
        """Study and user learn the exit code of ``semiseg run``, and find its errors in the log."""
        job = make_job(tmp_path, "import sys; print('no luck', file=sys.stderr); sys.exit(3)")
        assert self._end(self._start(make(), job)) == 3
        assert "no luck" in _log(job)

    def test_a_job_that_is_stopped_saves_its_state(self, make: Callable[..., Launcher], tmp_path: Path) -> None:
        """The job gets SIGTERM, and ends with another code than 0; ``stop`` does not wait, and can be repeated."""
        job = make_job(tmp_path, self._waits(tmp_path))
        running = self._start(make(), job)
        self._until(lambda: "ready" in _log(job), "the job does not start")
        assert running.poll() is None
        assert not running.queued
        running.stop()
        assert self._end(running) != 0
        assert "saved" in _log(job)
        running.stop()

    def test_a_job_is_found_again_if_it_survives(self, make: Callable[..., Launcher], tmp_path: Path) -> None:
        """By a later command on the same study, by its run folder, until it has ended; other jobs are not found."""
        launcher, job = make(), make_job(tmp_path, self._waits(tmp_path))
        assert launcher.find(job) is None
        running = self._start(launcher, job)
        again = make()
        found = again.find(PythonJob("renamed", job.recipe, job.folder, job.log, job.epochs, job.code))
        assert (found is not None) == launcher.survives
        assert again.find(make_job(tmp_path, "", "other")) is None
        (tmp_path / "go").touch()
        for one in filter(None, (found, running)):
            assert self._end(one) == 0, _log(job)
        assert make().find(job) is None

    def test_several_jobs_run_at_a_time(self, make: Callable[..., Launcher], tmp_path: Path) -> None:
        """With two slots, two jobs that wait for each other both end; ``jobs`` sets the number of slots."""
        launcher = make(jobs=2)
        assert launcher.slots == 2
        assert make().slots >= 1
        code = "import pathlib, time\npathlib.Path({0!r}).touch()\n"
        code += "while not pathlib.Path({1!r}).exists(): time.sleep(0.02)"
        here, there = (str(tmp_path / name) for name in ("here", "there"))
        jobs = [
            make_job(tmp_path, code.format(here, there), "a"),
            make_job(tmp_path, code.format(there, here), "b"),
        ]
        running = [self._start(launcher, job) for job in jobs]
        assert [self._end(one) for one in running] == [0, 0]

    def test_unknown_options_are_rejected(self, make: Callable[..., Launcher]) -> None:
        """A misspelled key in a study recipe is an error."""
        with pytest.raises((ValidationError, SemisegError), match="no_such_option"):
            make(no_such_option=1)

    def _waits(self, folder: Path) -> str:
        return _WAITS.format(go=str(folder / "go"), most=2 * self.patience)

    def _start(self, launcher: Launcher, job: Job) -> Running:
        running = launcher.start(job)
        assert running is not None, f"the job is refused: {launcher.refusal}"
        return running

    def _end(self, running: Running) -> int:
        """Return the exit code of a job that ends by itself."""
        code: int = self._until(running.poll, "the job does not end")
        return code

    def _until(self, happened: Callable[[], Any], otherwise: str) -> Any:
        latest = time.monotonic() + self.patience
        while (found := happened()) is None or found is False:
            assert time.monotonic() < latest, f"{otherwise} within {self.patience:g} seconds"
            time.sleep(0.02)
        return found


def _log(job: Job) -> str:
    return job.log.read_text(encoding="utf-8") if job.log.exists() else ""
