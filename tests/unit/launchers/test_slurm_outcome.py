"""How a SLURM job leaves its exit code, and which files the launcher takes for one."""

import json
import os
import pickle
import signal
from functools import partial
from pathlib import Path

import pytest
import submitit
from helpers_launchers import run_command, says, slurm_launcher, until

from semiseg.launchers import slurm
from semiseg.launchers.slurm_outcome import Outcome, OutcomeFile


def record(submission="a1", restart=0, code=0, reason=""):
    return {"submission": submission, "restart": restart, "code": code, "reason": reason}


class TestFile:
    def test_a_command_leaves_its_exit_code(self, tmp_path):
        assert run_command(tmp_path, "exit(3)")() == 3
        assert json.loads((tmp_path / "a1.outcome.json").read_text()) == record(code=3)

    def test_a_command_that_cannot_start_leaves_the_reason_in_a_line(self, tmp_path):
        command = run_command(tmp_path, "")
        command.command = [str(tmp_path / "no\nsuch program")]
        with pytest.raises(FileNotFoundError):
            command()
        found = OutcomeFile(tmp_path, "a1").read()
        assert found.code is None
        assert found.reason.startswith("FileNotFoundError: [Errno 2] No such file or directory: ")

    def test_a_command_that_is_interrupted_to_be_requeued_leaves_none(self, tmp_path):
        code = "import os, signal, time; os.kill(os.getppid(), signal.SIGUSR2); time.sleep(60)"

        def leave(signum, frame):
            raise SystemExit(-1)

        before = signal.signal(signal.SIGUSR2, leave)
        try:
            with pytest.raises(SystemExit):
                run_command(tmp_path, code)()
        finally:
            signal.signal(signal.SIGUSR2, before)
        assert OutcomeFile(tmp_path, "a1").read() is None

    def test_a_requeued_job_removes_what_it_left_before(self, tmp_path, monkeypatch):
        OutcomeFile(tmp_path, "a1").write(5)
        monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
        path = str(tmp_path / "a1.outcome.json")
        code = f"import os; exit(7 if os.path.exists({path!r}) else 0)"
        assert run_command(tmp_path, code)() == 0
        assert OutcomeFile(tmp_path, "a1").read() == Outcome(submission="a1", restart=2, code=0)

    def test_of_several_tasks_the_first_one_counts(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SLURM_PROCID", "0")
        run_command(tmp_path, "exit(3)")()
        monkeypatch.setenv("SLURM_PROCID", "1")
        run_command(tmp_path, "exit(4)")()
        assert OutcomeFile(tmp_path, "a1").read().code == 3

    @pytest.mark.parametrize(
        "text",
        [
            "",
            json.dumps(record())[:-4],
            "[0]",
            "\x00\xff",
            "[" * 100_000,
            json.dumps(record(submission="a2")),
            json.dumps(record(code="0")),
            json.dumps(record(code=True)),
            json.dumps({"submission": "a1", "code": 0}),
            json.dumps({**record(), "job": 7}),
        ],
        ids=["empty", "half", "list", "binary", "deep", "other", "text", "bool", "missing", "more"],
    )
    def test_damaged_and_foreign_files_are_none(self, tmp_path, text):
        path = tmp_path / "a1.outcome.json"
        path.write_text(json.dumps(record()))
        assert OutcomeFile(tmp_path, "a1").read() == Outcome(**record())
        path.write_bytes(text.encode("latin-1"))
        assert OutcomeFile(tmp_path, "a1").read() is None

    def test_a_folder_in_its_place_is_none(self, tmp_path):
        (tmp_path / "a1.outcome.json").mkdir()
        assert OutcomeFile(tmp_path, "a1").read() is None


@pytest.fixture
def leave(waiting, tmp_path):
    """Leaves an outcome of the waiting job, as its node does."""

    def leave(text=None, **changes):
        submission = json.loads((tmp_path / "jobs/m.json").read_text())["submission"]
        path = tmp_path / f"jobs/{submission}.outcome.json"
        path.write_text(text if text is not None else json.dumps(record(submission, **changes)))

    return leave


def test_the_exit_code_is_known_before_slurm_has_seen_the_end(waiting, cluster, leave):
    says(cluster, "RUNNING")
    leave(code=5)
    assert waiting[2].poll() == 5
    assert slurm_launcher(cluster.parent / "jobs").find(waiting[1]) is None


def test_a_reason_is_told_with_the_log(waiting, cluster, leave):
    says(cluster, "RUNNING")
    leave(code=None, reason="OSError: no log")
    assert waiting[2].poll() == 1
    log = cluster.parent / "jobs" / "42_0_log.err"
    assert waiting[2].reason == f"its job failed: OSError: no log (job 42; submitit's log is {log})"


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_unpickled_and_slurm_s_state_decides(waiting, cluster, leave, tmp_path, monkeypatch):
    _, made, running = waiting
    monkeypatch.setattr(slurm, "SETTLES", 0)
    says(cluster, "RUNNING")
    bomb = pickle.dumps(("success", Bomb(tmp_path / "gone_off")))
    (tmp_path / "jobs/42_0_result.pkl").write_bytes(bomb)
    leave(bomb.decode("latin-1"))
    assert running.poll() is None
    assert slurm_launcher(tmp_path / "jobs").find(made) is not None
    says(cluster, "OUT_OF_MEMORY")
    assert running.poll() == 1
    assert running.reason.startswith("was ended by SLURM: OUT_OF_MEMORY (")
    assert not (tmp_path / "gone_off").exists()


def test_what_a_job_left_before_it_was_requeued_does_not_count(waiting, cluster, leave):
    _, made, running = waiting
    leave(code=1)
    says(cluster, "PENDING")
    assert running.poll() is None
    assert running.queued
    (cluster / "restarts").write_text("1")
    says(cluster, "RUNNING")
    assert running.poll() is None
    assert slurm_launcher(cluster.parent / "jobs").find(made) is not None
    leave(code=0, restart=1)
    assert running.poll() == 0


def test_the_outcome_of_an_earlier_submission_does_not_count(waiting, cluster, leave):
    launcher, made, running = waiting
    says(cluster, "RUNNING")
    leave(code=3)
    assert running.poll() == 3
    again = launcher.start(made)
    (cluster / "state").write_text("42|COMPLETED\n43|RUNNING\n")
    assert again.poll() is None
    assert launcher.find(made).poll() is None


def test_a_job_that_failed_before_the_command_tells_the_last_line_of_its_log(waiting, cluster, monkeypatch):
    _, _, running = waiting
    monkeypatch.setattr(slurm, "SETTLES", 0)
    log = cluster.parent / "jobs" / "42_0_log.err"
    log.write_text("Traceback:\nModuleNotFoundError: No module named 'semiseg'\nsrun: error: node1: task 0: Exited\n\n")
    says(cluster, "FAILED")
    assert running.poll() == 1
    expected = "its job failed: ModuleNotFoundError: No module named 'semiseg'"
    assert running.reason == f"{expected} (job 42; submitit's log is {log})"


@pytest.mark.slow
def test_a_job_that_was_requeued_too_often_tells_so(cluster, job, tmp_path, monkeypatch):
    """By submitit, which raises its error in the handler of the signal."""
    monkeypatch.setattr(submitit, "AutoExecutor", partial(submitit.AutoExecutor, slurm_max_num_timeout=0))
    code = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(143)); print('x', flush=True)"
    made = job(f"{code}; time.sleep(60)")
    running = slurm_launcher(tmp_path / "jobs", {"timeout_min": 1}).start(made)
    until(lambda: made.log.exists() and made.log.read_text())
    os.kill(int((cluster / "step").read_text()), signal.SIGUSR2)
    assert until(running.poll) == 1
    assert "its job failed: UncompletedJobError: Job not requeued because: timed-out too many times." in running.reason
