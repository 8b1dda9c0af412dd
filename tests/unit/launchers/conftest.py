import os

import pytest
from helpers_launchers import put_cluster, slurm_launcher

from semiseg.launchers import slurm_states
from semiseg.testing.launcher import make_job


@pytest.fixture
def job(tmp_path):
    """A job whose command is a Python text, in place of ``semiseg run``."""

    def make(code, name="m"):
        return make_job(tmp_path, code, name)

    return make


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster of one machine: SLURM's commands as scripts, which files in the folder tell what to say."""
    folder = put_cluster(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name, value in {"PERIOD": 0.05, "_SOON": 0}.items():
        monkeypatch.setattr(slurm_states, name, value)
    return folder


@pytest.fixture
def waiting(cluster, job, tmp_path):
    """A job that was submitted, of which nothing is known but what the test lets SLURM say."""
    (cluster / "waits").touch()
    (cluster / "state").write_text("42|PENDING\n")
    launcher = slurm_launcher(tmp_path / "jobs")
    made = job("")
    return launcher, made, launcher.start(made)
