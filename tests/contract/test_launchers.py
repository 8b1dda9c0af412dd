"""The built-in launchers keep the contract; and the contract catches launchers that do not."""

import os
import signal
import subprocess

import pytest
from helpers_launchers import put_cluster
from pydantic import ConfigDict

from semiseg.launchers import slurm, slurm_states
from semiseg.launchers.local import LocalJob, LocalLauncher
from semiseg.launchers.slurm import SlurmLauncher
from semiseg.registry import installed, load, make_options
from semiseg.testing.launcher import LauncherContract


def test_the_built_in_launchers_are_installed():
    assert {entry.name for entry in installed("launcher")} >= {"local", "slurm"}
    assert load("launcher", "local") is LocalLauncher
    assert load("launcher", "slurm") is SlurmLauncher


class TestLocal(LauncherContract):
    @pytest.fixture
    def launcher_class(self):
        return LocalLauncher


@pytest.mark.slow
class TestSlurm(LauncherContract):
    """With SLURM's commands as scripts."""

    @pytest.fixture(autouse=True)
    def _cluster(self, tmp_path, monkeypatch):
        folder = put_cluster(tmp_path / "cluster")
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setattr(slurm_states, "PERIOD", 0.05)
        monkeypatch.setattr(slurm_states, "_SOON", 0)
        monkeypatch.setattr(slurm, "SETTLES", 0.2)

    @pytest.fixture
    def launcher_class(self):
        return SlurmLauncher


class Overwriting(LocalLauncher):
    """Wrong on purpose: a resumed job loses its earlier output."""

    def start(self, job, taken=()):
        job.log.unlink(missing_ok=True)
        return super().start(job, taken)


class Codeless(LocalLauncher):
    """Wrong on purpose: every failure has code 1."""

    def start(self, job, taken=()):
        class Process(LocalJob):
            def poll(self):
                code = super().poll()
                return code and 1

        return Process(super().start(job, taken)._process)


class Deaf(LocalLauncher):
    """Wrong on purpose: jobs cannot be stopped."""

    def start(self, job, taken=()):
        class Process(LocalJob):
            def stop(self):
                pass

        return Process(super().start(job, taken)._process)


class Brutal(LocalLauncher):
    """Wrong on purpose: a stopped job cannot save its state."""

    def start(self, job, taken=()):
        class Process(LocalJob):
            def stop(self):
                self._process.send_signal(signal.SIGKILL)

        return Process(super().start(job, taken)._process)


class Forgetful(LocalLauncher):
    """Wrong on purpose: jobs survive, and are not found again."""

    survives = True


class Confused(LocalLauncher):
    """Wrong on purpose: finds any job, whatever its folder."""

    survives = True
    started = None

    def start(self, job, taken=()):
        type(self).started = super().start(job, taken)
        return self.started

    def find(self, job):
        return self.started


class Waiting(LocalLauncher):
    """Wrong on purpose: returns from a start only after the job has ended."""

    def start(self, job, taken=()):
        running = super().start(job, taken)
        try:
            running._process.wait(1)
        except subprocess.TimeoutExpired:
            running._process.kill()
        return running


class Careless(LocalLauncher):
    """Wrong on purpose: takes any option."""

    class Options(LocalLauncher.Options):
        model_config = ConfigDict(extra="ignore")


@pytest.fixture
def processes(monkeypatch):
    """The processes that a test has started, which end with it."""
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    yield started
    for process in started:
        process.kill()
        process.wait()


contract = LauncherContract()


@pytest.mark.parametrize(
    ("check", "launcher_class"),
    [
        (contract.test_a_job_that_succeeds_ends_with_code_0, Overwriting),
        (contract.test_a_job_that_fails_ends_with_its_code, Codeless),
        (contract.test_a_job_that_is_stopped_saves_its_state, Deaf),
        (contract.test_a_job_that_is_stopped_saves_its_state, Brutal),
        (contract.test_a_job_is_found_again_if_it_survives, Forgetful),
        (contract.test_a_job_is_found_again_if_it_survives, Confused),
        (contract.test_several_jobs_run_at_a_time, Waiting),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_contract_catches(check, launcher_class, tmp_path, monkeypatch, processes):
    monkeypatch.setattr(LauncherContract, "patience", 1.0)

    def make(jobs=None):
        return launcher_class(folder=tmp_path / "jobs", jobs=jobs)

    with pytest.raises(AssertionError):
        check(make, tmp_path)


def test_the_contract_catches_a_launcher_that_takes_any_option():
    def make(**options):
        return Careless(make_options(Careless, options))

    with pytest.raises(pytest.fail.Exception):
        contract.test_unknown_options_are_rejected(make)
