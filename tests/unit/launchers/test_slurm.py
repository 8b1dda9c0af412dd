import os
import pickle
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from helpers_launchers import WRITES, run_command, says, slurm_launcher, until

from semiseg.errors import RecipeError, RunError
from semiseg.interfaces.launcher import Job
from semiseg.launchers import slurm, slurm_states
from semiseg.launchers.slurm import SlurmLauncher
from semiseg.launchers.slurm_states import SlurmStates
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.load import load_recipe
from semiseg.study import launch
from semiseg.study.launch import run_jobs


class TestRunCommand:
    """Its process, its exit code, and how it is interrupted."""

    def test_it_says_what_the_command_says_and_gives_its_exit_code(self, tmp_path):
        log = tmp_path / "log"
        log.write_text("before\n")
        assert run_command(tmp_path, "print('hi'); exit(3)")() == 3
        assert log.read_text() == "before\nhi\n"

    def test_interrupted_it_has_the_command_save_its_state(self, tmp_path):
        """As submitit does: a handler, in the middle of the call, asks for what goes on and leaves."""
        log, said = tmp_path / "log", []
        code = "import signal, sys, time\n"
        code += "def save(*_): time.sleep(0.5); print('saved', flush=True); sys.exit(143)\n"
        code += "signal.signal(signal.SIGTERM, save); print('ready', flush=True); time.sleep(60)"
        command = run_command(tmp_path, code)

        def interrupt():
            until(lambda: log.exists() and "ready" in log.read_text())
            child = command._process.pid
            os.kill(child, signal.SIGUSR2)  # it reaches all processes of a job
            os.kill(os.getpid(), signal.SIGUSR2)

        def handle(signum, frame):
            said.append(pickle.dumps(command.checkpoint()))
            raise SystemExit(-1)

        before = signal.signal(signal.SIGUSR2, handle)
        try:
            threading.Thread(target=interrupt).start()
            with pytest.raises(SystemExit):
                command()
        finally:
            signal.signal(signal.SIGUSR2, before)
        assert log.read_text() == "ready\nsaved\n"
        again = pickle.loads(said[0]).function
        assert (again.command, again.log, again._process) == (command.command, str(log), None)

    def test_a_command_that_does_not_end_in_time_is_killed(self, tmp_path, monkeypatch):
        monkeypatch.setattr("semiseg.launchers.slurm_command._MARGIN", 0.5)
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True)\n"
        log = tmp_path / "log"
        command = run_command(tmp_path, code + "time.sleep(60)", warning=1)
        caller = threading.Thread(target=lambda: until(lambda: log.exists() and log.read_text()) and command._end())
        caller.start()
        assert command() == -signal.SIGKILL
        caller.join()

    def test_told_to_end_by_the_cluster_it_leaves_no_result_that_keeps_it_from_being_requeued(
        self, tmp_path, monkeypatch
    ):
        killed = run_command(tmp_path, "import os; os.kill(os.getpid(), 15)")
        monkeypatch.setattr("semiseg.launchers.slurm_command._AFTERMATH", 1)
        for job_id, least in (("42", 1), (None, 0)):
            monkeypatch.delenv("SLURM_JOB_ID", raising=False)
            if job_id:
                monkeypatch.setenv("SLURM_JOB_ID", job_id)
            began = time.monotonic()
            assert killed() == -signal.SIGTERM
            assert least <= time.monotonic() - began < least + 1


RECIPE = {
    "name": "small",
    "dataset": {"name": "phantom", "cases": 4, "size": [32, 32, 32]},
    "split": {"test": 1, "validation": 1, "labeled": 1, "total": 2},
    "augmentation": "none",
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0},
    "strategy": "supervised",
    "training": {"epochs": 1, "patch_size": [16, 16, 16], "step": {"micro_batch": 1}},
}


@pytest.mark.skipif(torch.cuda.is_available(), reason="it is about a machine without a GPU")
@pytest.mark.parametrize("change", ["training.device=cuda", "training.precision=fp16"])
def test_a_login_node_without_a_gpu_plans_what_needs_one(change):
    recipe = load_recipe(RECIPE, [change])
    with pytest.raises(RecipeError, match="GPU"):
        make_plan(recipe)
    assert make_plan(recipe, on_this_machine=False).split.test


def test_what_is_wrong_on_every_machine_is_refused_on_a_login_node_too():
    with pytest.raises(RecipeError, match="fp16, which is for GPUs"):
        make_plan(load_recipe(RECIPE, ["training.precision=fp16", "training.device=cpu"]), on_this_machine=False)
    with pytest.raises(RecipeError, match="micro_batch"):
        make_plan(load_recipe(RECIPE, ["training.step.micro_batch=99"]), on_this_machine=False)


@pytest.mark.slow
class TestSubmitit:
    """By submitit's local executor, which takes the same path but for sbatch."""

    def test_a_job_runs_and_its_exit_code_is_known(self, job, tmp_path):
        good = job(WRITES.format(str(tmp_path / "good")), "good")
        bad = job("import sys; sys.exit('no luck')", "bad")
        launcher = slurm_launcher(tmp_path / "jobs", {"timeout_min": 5}, cluster="local")
        statuses = run_jobs([good, bad], launcher, pause=0.05)
        assert [(s.state, s.code) for s in statuses] == [("done", None), ("failed", 1)]
        assert statuses[1].reason == "ended with exit code 1"
        assert bad.log.read_text().splitlines()[-1] == "no luck"

    def test_a_job_can_be_cancelled(self, job, tmp_path):
        launcher = slurm_launcher(tmp_path / "jobs", cluster="local")
        running = launcher.start(job("import time; time.sleep(60)"))
        assert running.poll() is None
        running.stop()
        until(lambda: running.poll() is not None)
        assert running.poll() != 0

    def test_unknown_options_are_refused(self, tmp_path):
        with pytest.raises(RecipeError, match="slurm: "):
            slurm_launcher(tmp_path / "jobs", {"partitoin": "gpu"}, cluster="local")

    def test_where_there_is_no_cluster_it_is_said(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
        with pytest.raises(RecipeError, match=r"No SLURM cluster is here.*\n.*--launcher local"):
            slurm_launcher(tmp_path / "jobs")


@pytest.mark.slow
def test_on_a_cluster_a_job_is_submitted_with_its_options_and_found_again(cluster, job, tmp_path):
    go = tmp_path / "go"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)\n"
    made = job(wait + WRITES.format(str(tmp_path / "m")))
    options = {"slurm_partition": "gpu", "timeout_min": 60, "mem_gb": 64}
    first = slurm_launcher(tmp_path / "jobs", options)
    assert first.find(made) is None
    assert first.start(made).poll() is None
    script = (cluster / "script.sh").read_text()
    for word in ("--partition=gpu", "--time=60", "--mem=64GB", "--gpus-per-node=1", "--job-name=m"):
        assert word in script

    renamed = Job("another name", made.recipe, made.folder, made.log, made.epochs)
    found = slurm_launcher(tmp_path / "jobs", options).find(renamed)
    assert found.poll() is None
    assert not found.queued
    go.touch()
    until(lambda: found.poll() is not None)
    assert found.poll() == 0
    assert (made.folder / "summary.json").exists()
    assert (cluster / "submitted").read_text() == "x\n"


@pytest.mark.slow
def test_before_its_time_is_up_a_job_saves_its_state_and_is_requeued(cluster, job, tmp_path):
    state, run = tmp_path / "state", tmp_path / "m"
    code = f"""
import os, pathlib, signal, sys, time
from semiseg.io.lock import locked
state, run = pathlib.Path({str(state)!r}), pathlib.Path({str(run)!r})
run.mkdir(exist_ok=True)
with locked(run):
    def save(*_):
        state.write_text("saved")
        sys.exit(143)
    signal.signal(signal.SIGTERM, save)
    if not state.exists():
        (run / "ready").touch()
        time.sleep(60)
    (run / "summary.json").write_text("{{}}")
"""
    made = job(code)
    launcher = slurm_launcher(tmp_path / "jobs", {"timeout_min": 60})
    running = launcher.start(made)
    until((run / "ready").exists)
    step = int((cluster / "step").read_text())
    child = int(Path(f"/proc/{step}/task/{step}/children").read_text().split()[0])
    for pid in (step, child):
        os.kill(pid, signal.SIGUSR2)
    until(lambda: running.poll() is not None)
    assert state.read_text() == "saved"
    assert running.poll() == 0
    assert (made.folder / "summary.json").exists()
    assert not (run / "lock.json").exists()


@pytest.mark.parametrize("state", ["PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "COMPLETING", "REQUEUED"])
def test_states_in_which_a_job_lives(waiting, cluster, state):
    _, _, running = waiting
    says(cluster, "NODE_FAIL")  # the state before it is requeued
    assert running.poll() is None
    says(cluster, state)
    assert running.poll() is None
    assert running.queued == (state in {"PENDING", "CONFIGURING", "REQUEUED"})


@pytest.mark.parametrize("state", ["OUT_OF_MEMORY", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "CANCELLED by 1000", "FAILED"])
def test_a_job_that_the_cluster_ended_says_how_and_where_more_is_said(waiting, cluster, monkeypatch, state):
    launcher, made, running = waiting
    monkeypatch.setattr(slurm, "SETTLES", 0.5)
    says(cluster, state)
    began = time.monotonic()
    (how,) = run_jobs([made], _Given(launcher, running), pause=0.05)
    assert time.monotonic() - began < 5
    assert (how.state, how.code) == ("failed", 1)
    log = cluster.parent / "jobs" / "42_0_log.err"
    assert how.reason == f"was ended by SLURM: {state.split()[0]} (job 42; submitit's log is {log})"


class _Given:
    """A launcher that finds a job which the test has at hand."""

    survives, slots, refusal = True, 1, ""

    def __init__(self, launcher, running):
        self._running = running

    def find(self, job):
        return self._running


@pytest.mark.parametrize("accounting", [True, False])
def test_a_job_of_which_slurm_knows_nothing_lives_for_some_minutes(waiting, cluster, monkeypatch, accounting):
    _, _, running = waiting
    if not accounting:
        (cluster / "no_accounting").touch()
    says(cluster, "")
    assert running.poll() is None
    monkeypatch.setattr(slurm, "FORGIVEN", 0)
    assert running.poll() == 1
    assert "SLURM has no job 42" in running.reason


def test_without_accounting_the_queue_is_asked(waiting, cluster):
    _, _, running = waiting
    (cluster / "no_accounting").touch()
    (cluster / "queue").write_text("42|RUNNING\n")
    time.sleep(0.1)
    assert running.poll() is None
    assert not running.queued


def test_while_slurm_is_silent_its_last_word_counts(waiting, cluster, monkeypatch):
    monkeypatch.setattr(slurm, "FORGIVEN", 0)
    _, _, running = waiting
    says(cluster, "RUNNING")
    assert running.poll() is None
    (cluster / "no_accounting").touch()
    (cluster / "squeue").unlink()
    time.sleep(0.1)
    assert running.poll() is None


def test_slurm_is_asked_for_all_jobs_at_once_and_not_too_often(cluster, monkeypatch):
    monkeypatch.setattr(slurm_states, "PERIOD", 60)
    (cluster / "sacct").write_text(f'#!/bin/sh\necho "$@" >>{cluster}/asked\necho "42|RUNNING"\necho "43|FAILED"\n')
    states = SlurmStates(["42", "43"])
    assert [states.of(job_id) for job_id in ("42", "43", "42")] == ["RUNNING", "FAILED", "RUNNING"]
    assert (cluster / "asked").read_text().splitlines() == ["--parsable2 -X -o JobID,State -j 42,43"]


def test_the_lock_of_a_job_killed_with_its_node_goes_and_the_model_goes_on(waiting, cluster, tmp_path):
    launcher, made, _ = waiting
    made.folder.mkdir()
    lock = made.folder / "lock.json"
    lock.write_text('{"host": "node17", "pid": 123, "started": "1", "job": "42"}')
    assert launcher.find(made) is not None
    assert lock.exists()

    says(cluster, "NODE_FAIL")
    assert slurm_launcher(tmp_path / "jobs").find(made) is None
    assert not lock.exists()


def test_the_lock_of_a_job_of_another_command_stays_and_is_shown(waiting, cluster, tmp_path):
    _, made, _ = waiting
    says(cluster, "FAILED")
    made.folder.mkdir()
    (made.folder / "lock.json").write_text('{"host": "node17", "pid": 123, "started": "1", "job": "7"}')
    seen = []

    def watch(statuses):
        seen.append((statuses[0].state, statuses[0].where))
        (made.folder / "summary.json").touch()

    run_jobs([made], slurm_launcher(tmp_path / "jobs"), watch, pause=0.02)
    assert seen == [("elsewhere", "process 123 on node17 (SLURM job 7)"), ("done", "")]


def test_a_job_whose_submission_is_long_ago_and_forgotten_is_submitted_again(waiting, cluster, tmp_path):
    _, made, _ = waiting
    (tmp_path / "jobs" / "m.json").write_text('{"job_id": "42", "submitted": 1}')
    says(cluster, "")
    assert slurm_launcher(tmp_path / "jobs").find(made) is None


LIMIT = "sbatch: error: QOSMaxSubmitJobPerUserLimit"


def test_a_refused_submission_is_said_where_nothing_runs_and_leaves_nothing(cluster, job, tmp_path):
    (cluster / "refuses").write_text(LIMIT)
    with pytest.raises(RunError, match=f"{LIMIT}\n.*--jobs N"):
        run_jobs([job("")], slurm_launcher(tmp_path / "jobs"), pause=0.02)
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_refused_submission_is_tried_again(waiting, cluster, job, monkeypatch):
    monkeypatch.setattr(launch, "RETRY", 0.1)
    launcher, made, _ = waiting
    later, seen = job("", "later"), []
    (cluster / "refuses").write_text(LIMIT)

    def watch(statuses):
        seen.append([(s.state, s.reason) for s in statuses])
        if len(seen) == 3:
            (cluster / "refuses").unlink()
        if statuses[1].state == "queued":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs([made, later], launcher, watch, pause=0.1)
    assert seen[0] == [("queued", ""), ("waiting", LIMIT)]


def test_the_note_that_a_study_was_left_by_says_that_jobs_go_on():
    assert SlurmLauncher.survives
    assert "Submitted jobs keep running" in SlurmLauncher.resume_hint
