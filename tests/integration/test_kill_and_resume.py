"""Real processes, killed with SIGKILL wherever they are, and continued."""

import hashlib
import json
import os
import random
import signal
import time

import pytest
from helpers_processes import Command
from helpers_processes import run as semiseg
from ruamel.yaml import YAML
from small_run import SMALL

from semiseg.cores import available_cores
from semiseg.runs.checkpoint import load_state


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump(SMALL, file)
    return path


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    semiseg("run", recipe, "-o", folder)
    return folder


def result(folder):
    """Everything a run results in: weights, predictions, scores, log; without times."""
    weights = {}
    for name in ("last", "best"):
        state = load_state(folder / "checkpoints" / f"{name}.pt")
        weights[name] = (state["step"], {k: v.numpy().tobytes() for k, v in state["strategy"].items()})
    files = sorted((folder / "predictions").rglob("*.nii.gz"))
    predictions = {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for record in log:
        record.pop("seconds")
        record.pop("seconds_waited_for_data")
    return weights, predictions, (folder / "scores.csv").read_text(), log


def start(recipe, folder, *more, environment=None):
    return Command("run", recipe, "-o", folder, "--resume", *more, env={**os.environ, **(environment or {})})


def wait_for(process, happened, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return
        if process.poll() is not None:
            raise AssertionError(f"the run ended before it was killed: {process.stderr.read()[-2000:]}")
        time.sleep(0.002)
    raise AssertionError("waited too long")


def steps_done(folder):
    found = [p.name for p in (folder / "checkpoints").glob("step-*.pt")]
    return max((int(name[5:13]) for name in found), default=0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_several_steps_and_resumed_it_ends_alike(recipe, whole, tmp_path, workers):
    folder = tmp_path / "run"
    draw = random.Random(workers)
    for after in (1, 7):
        process = start(recipe, folder, "--set", f"training.workers={workers}")
        wait_for(process, lambda after=after: steps_done(folder) >= after)
        time.sleep(draw.random() * 0.2)
        process.kill()
        process.communicate()
    semiseg("run", recipe, "-o", folder, "--resume", "--set", f"training.workers={2 - workers}")
    assert result(folder) == result(whole)


@pytest.mark.slow
def test_killed_while_predicting_it_goes_on_there(recipe, whole, tmp_path):
    folder = tmp_path / "run"
    process = start(recipe, folder)
    wait_for(process, lambda: any((folder / "predictions").rglob("*.nii.gz")))
    process.kill()
    process.communicate()
    trained = {p: p.stat().st_mtime_ns for p in (folder / "checkpoints").glob("*.pt")}
    assert not (folder / "summary.json").exists() or result(folder) == result(whole)
    semiseg("run", recipe, "-o", folder, "--resume")
    assert result(folder) == result(whole)
    best = folder / "checkpoints" / "best.pt"
    assert best.stat().st_mtime_ns == trained[best]


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)])
def test_a_signal_saves_and_says_how_to_go_on(recipe, whole, tmp_path, signum, code):
    folder = tmp_path / "run"
    process = start(recipe, folder, "--set", "training.checkpoint.minutes=60")
    wait_for(process, lambda: (folder / "log.jsonl").exists() and (folder / "log.jsonl").stat().st_size)
    os.kill(process.pid, signum)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert "--resume" in said
    assert steps_done(folder) >= 4
    semiseg("run", recipe, "-o", folder, "--resume")
    assert result(folder) == result(whole)


@pytest.mark.slow
@pytest.mark.skipif(available_cores() < 2, reason="torch takes no more threads than there are cores")
def test_going_on_with_other_threads_is_said_and_noted(recipe, tmp_path):
    """Sums are taken in another order then, which nobody should have to find out from the last digits."""
    folder = tmp_path / "run"
    process = start(recipe, folder, environment={"OMP_NUM_THREADS": "1"})
    wait_for(process, lambda: steps_done(folder) >= 1)
    process.kill()
    process.communicate()
    done = semiseg("run", recipe, "-o", folder, "--resume", OMP_NUM_THREADS="2")
    assert "changed since the run began: torch threads 1, now 2" in done.stdout + done.stderr
    assert json.loads((folder / "environment.json").read_text())["resumed"] == ["torch threads 1, now 2"]
    assert "torch threads 1, now 2" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_a_changed_recipe_is_shown_and_refused(recipe, whole):
    done = semiseg("run", recipe, "-o", whole, "--resume", "--set", "strategy.phi=0.9", check=False)
    assert done.returncode == 4
    assert "strategy.phi" in done.stderr
    assert "0.5" in done.stderr
    assert "0.9" in done.stderr


@pytest.mark.slow
def test_a_finished_run_is_not_overwritten_and_not_repeated(recipe, whole):
    done = semiseg("run", recipe, "-o", whole, check=False)
    assert done.returncode == 4
    assert "already contains a run" in done.stderr
    before = (whole / "test_openings.jsonl").read_text()
    semiseg("run", recipe, "-o", whole, "--resume", "--set", "training.workers=1")
    assert (whole / "test_openings.jsonl").read_text() == before


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)])
def test_a_signal_while_predicting_says_how_to_go_on_too(recipe, whole, tmp_path, signum, code):
    folder = tmp_path / "run"
    process = start(recipe, folder)
    wait_for(process, (folder / "test_openings.jsonl").exists)
    os.kill(process.pid, signum)
    _, said = process.communicate(timeout=120)
    if process.returncode:  # it may have been faster
        assert process.returncode == code, said
        assert "--resume" in said
        semiseg("run", recipe, "-o", folder, "--resume")
    assert result(folder) == result(whole)
    assert not (folder / "lock.json").exists()
