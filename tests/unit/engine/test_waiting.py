"""Processes that wait for one another: for how long, and who is named where one does not come."""

import os
import signal
from datetime import timedelta

import pytest
from helpers_processes import Command

from semiseg.engine.waiting import Together, patience
from semiseg.errors import RecipeError, TrainingError


class Store(dict):
    """Counts as torch's store does."""

    def add(self, key, amount):
        self[key] = self.get(key, 0) + amount
        return self[key]


def test_how_long_processes_wait(monkeypatch):
    monkeypatch.delenv("SEMISEG_WAIT_MINUTES", raising=False)
    assert patience() == timedelta(days=1)
    monkeypatch.setenv("SEMISEG_WAIT_MINUTES", "0.5")
    assert patience() == timedelta(seconds=30)
    for text in ("0", "-1", "nan", "inf", "soon", "1e9"):
        monkeypatch.setenv("SEMISEG_WAIT_MINUTES", text)
        with pytest.raises(RecipeError, match=f"SEMISEG_WAIT_MINUTES is '{text}'"):
            patience()


@pytest.mark.parametrize(
    ("came", "named"),
    [
        ((0, 1, 2, 1), "of 3 processes rank 2 did not respond"),
        ((0,), "of 3 processes rank 1, rank 2 did not respond"),
        ((0, 1, 2, 1, 2), "of 3 processes another one did not respond"),
    ],
)
def test_those_that_lag_behind_are_named(came, named):
    store = Store()
    ranks = [Together(store, rank, 3) for rank in range(3)]
    for rank in came:
        with ranks[rank]():
            pass
    with pytest.raises(TrainingError, match=f"Rank 0 timed out: {named}"), ranks[0]():
        raise RuntimeError("[gloo] Timed out waiting 1000ms for recv operation to complete")


def test_an_error_of_something_else_is_left_as_it_is():
    with pytest.raises(RuntimeError, match="shapes"), Together(Store(), 0, 2)():
        raise RuntimeError("shapes differ")


FROZEN = """
import os, signal, sys
from semiseg.cli.main import main
from semiseg.engine.runtime import Runtime

runtime = Runtime("cpu", "32")
runtime.barrier()
if runtime.rank == 1:
    print("freezing", os.getpid(), flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
runtime.broadcast(1)
"""


@pytest.mark.slow
def test_a_frozen_process_is_named_by_its_rank(tmp_path):
    script = tmp_path / "frozen.py"
    script.write_text(FROZEN)
    port = str(20_000 + os.getpid() % 20_000)
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared |= {"GROUP_RANK": "0", "OMP_NUM_THREADS": "1", "SEMISEG_WAIT_MINUTES": "0.05"}
    ranks = [{**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    main, frozen = [Command(program=script, env=environment) for environment in ranks]
    try:
        _, said = main.communicate(timeout=60)
    finally:
        os.kill(frozen.pid, signal.SIGKILL)
        frozen.communicate()
    assert main.returncode != 0
    assert "Rank 0 timed out: of 2 processes rank 1 did not respond (frozen or ended)." in said
    assert "SEMISEG_WAIT_MINUTES sets it" in said
