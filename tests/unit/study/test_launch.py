import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from semiseg.errors import RunError
from semiseg.interfaces.launcher import Job
from semiseg.io.lock import locked
from semiseg.runs.folder import RunFolder
from semiseg.study import launch
from semiseg.study.launch import run_jobs
from semiseg.study.status import Progress, log_end, read_progress


@dataclass
class Made:
    """A job that ends after some polls with a code; 0 leaves a summary."""

    job: Job
    polls: int
    code: int
    stopped: bool = False
    queued: bool = False
    reason: str = ""

    def poll(self):
        self.polls -= 1
        if self.polls > 0 and not self.stopped:
            return None
        if self.code == 0 and not self.stopped:
            finish(self.job)
        return 143 if self.stopped else self.code

    def stop(self):
        self.stopped = True


@dataclass
class Launcher:
    slots: int = 2
    survives: bool = False
    codes: dict = field(default_factory=dict)
    started: list = field(default_factory=list)
    taken: list = field(default_factory=list)
    refusal: str = ""

    def find(self, job):
        return None

    def start(self, job, taken=()):
        self.taken.append(list(taken))
        self.started.append(Made(job, polls=3, code=self.codes.get(job.name, 0)))
        return self.started[-1]


def finish(job):
    job.folder.mkdir(parents=True, exist_ok=True)
    RunFolder(job.folder).summary.write_text("{}")


def log(job, *dice, seconds=2.0):
    job.folder.mkdir(parents=True, exist_ok=True)
    records = [{"epoch": i + 1, "seconds": seconds, "validation": {"mean_dice": d}} for i, d in enumerate(dice)]
    RunFolder(job.folder).log.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def jobs(tmp_path):
    def make(n=5):
        return [Job(f"m{i}", tmp_path / f"m{i}.yaml", tmp_path / f"m{i}", tmp_path / f"m{i}.log", 10) for i in range(n)]

    return make


def test_a_job_s_command_names_its_observers(tmp_path):
    job = Job(
        "m", tmp_path / "m.yaml", tmp_path / "m", tmp_path / "m.log", 1, observers=("mlflow:experiment=a", "wandb")
    )
    assert job.arguments[-4:] == ["--observe", "mlflow:experiment=a", "--observe", "wandb"]
    assert replace(job, observers=()).arguments[-1] == "--quiet"


def test_no_more_run_at_a_time_than_there_are_slots(jobs):
    running = []

    def watch(statuses):
        running.append([s.name for s in statuses if s.state == "running"])

    statuses = run_jobs(jobs(), Launcher(), watch, pause=0)
    assert max(map(len, running)) == 2
    assert {s.state for s in statuses} == {"done"}


def test_a_failed_job_leaves_the_rest_running_and_is_rerun_alone(jobs):
    work = jobs()
    statuses = run_jobs(work, Launcher(codes={"m1": 5}), pause=0)
    assert [s.state for s in statuses] == ["done", "failed", "done", "done", "done"]
    assert (statuses[1].code, statuses[1].reason) == (5, "ended with exit code 5")

    again = Launcher()
    statuses = run_jobs(work, again, pause=0)
    assert [made.job.name for made in again.started] == ["m1"]
    assert [s.state for s in statuses] == ["kept", "done", "kept", "kept", "kept"]


def test_a_job_that_is_to_be_scored_again_is_run_though_it_has_scores(jobs):
    work = jobs(2)
    for job in work:
        finish(job)
    launcher = Launcher()
    statuses = run_jobs([replace(work[0], again=True), work[1]], launcher, pause=0)
    assert [made.job.name for made in launcher.started] == ["m0"]
    assert [status.state for status in statuses] == ["done", "kept"]


def test_a_command_that_ends_well_without_scores_has_failed(jobs):
    class Careless(Launcher):
        def start(self, job, taken=()):
            made = super().start(job)
            made.job = jobs(9)[8]  # its summary goes elsewhere
            return made

    (status,) = run_jobs(jobs(1), Careless(), pause=0)
    assert (status.state, status.code, status.reason) == ("failed", 0, "ended well, but left no scores")


def test_a_run_of_another_process_is_waited_for_and_taken_up(jobs):
    work = jobs(2)
    work[0].folder.mkdir()
    launcher, seen = Launcher(), []

    with locked(work[0].folder):
        holder = work[0].folder / "lock.json"
        held = holder.read_text()

        def watch(statuses):
            seen.append((statuses[0].state, statuses[0].where))
            if len(seen) == 3:  # the other process is gone, and has left its run unfinished
                holder.unlink()

        statuses = run_jobs(work, launcher, watch, pause=0)
    assert held
    assert seen[:3] == [("elsewhere", f"process {os.getpid()} on {socket.gethostname()}")] * 3
    assert seen[3] == ("running", "")
    assert [s.state for s in statuses] == ["done", "done"]
    assert [made.job.name for made in launcher.started] == ["m1", "m0"]


def hold(made, **changes):
    made.folder.mkdir()
    record = {"host": socket.gethostname(), "pid": os.getpid(), "started": launch_time(), "gpus": "1"}
    (made.folder / "lock.json").write_text(json.dumps(record | changes))


def launch_time():
    return Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]


def test_an_orphan_of_this_host_takes_a_slot_and_its_gpu(jobs):
    work = jobs(3)
    hold(work[2])  # the last one: it is known before the first one is given a GPU
    launcher, beside = Launcher(), []

    def watch(statuses):
        beside.append([s.name for s in statuses if s.state == "running"])
        if len(launcher.started) == 2 and (work[2].folder / "lock.json").exists():
            (work[2].folder / "lock.json").unlink()

    run_jobs(work, launcher, watch, pause=0)
    assert beside[0] == ["m0"]
    assert launcher.taken[:2] == [["1"], ["1"]]
    assert [made.job.name for made in launcher.started] == ["m0", "m1", "m2"]


def test_a_process_of_another_host_takes_no_slot_here(jobs):
    work = jobs(3)
    hold(work[2], host="node17")
    launcher = Launcher()

    def watch(statuses):
        if all(s.is_over for s in statuses[:2]):
            (work[2].folder / "lock.json").unlink(missing_ok=True)

    run_jobs(work, launcher, watch, pause=0)
    assert launcher.taken == [[], [], []]
    assert [made.job.name for made in launcher.started] == ["m0", "m1", "m2"]


@pytest.mark.parametrize(("named", "gpus"), [(None, ["0"]), ("", []), ("2, 3", ["2", "3"])])
def test_the_gpus_of_a_process_are_those_it_sees(named, gpus):
    assert launch._gpus({"gpus": named}) == gpus


@dataclass
class Reluctant(Launcher):
    """Takes no job while as many as ``limit`` run."""

    slots: int = 10
    limit: int = 1
    attempts: int = 0
    refusal: str = "QOSMaxSubmitJobPerUserLimit"

    def start(self, job, taken=()):
        self.attempts += 1
        return super().start(job) if sum(made.polls > 0 for made in self.started) < self.limit else None


def test_a_refused_job_waits_for_a_later_round(jobs, monkeypatch):
    monkeypatch.setattr(launch, "RETRY", 0)
    seen = []
    statuses = run_jobs(jobs(3), Reluctant(), lambda s: seen.append((s[1].state, s[1].reason)), pause=0)
    assert seen[0] == ("waiting", "QOSMaxSubmitJobPerUserLimit")
    assert [(s.state, s.reason) for s in statuses] == [("done", "")] * 3


def test_after_a_refusal_there_is_a_pause_even_where_nothing_runs_any_more(jobs, monkeypatch):
    monkeypatch.setattr(launch, "RETRY", 0.3)
    launcher, began = Reluctant(), time.monotonic()
    assert {s.state for s in run_jobs(jobs(3), launcher, pause=0.01)} == {"done"}
    assert launcher.attempts == 5
    assert time.monotonic() - began > 0.6


def test_where_all_are_refused_and_none_runs_it_is_said(jobs):
    launcher = Reluctant(limit=0)
    with pytest.raises(RunError, match=r"No model can be started: QOSMax.*\n.*--jobs N"):
        run_jobs(jobs(3), launcher, pause=0)
    assert launcher.attempts == 1


def test_a_job_that_waits_for_its_turn_is_queued(jobs):
    class Cluster(Launcher):
        def start(self, job, taken=()):
            made = super().start(job)
            made.queued = True
            return made

    launcher, seen = Cluster(), []

    def watch(statuses):
        seen.append(statuses[0].state)
        launcher.started[0].queued = len(seen) < 2

    run_jobs(jobs(1), launcher, watch, pause=0)
    assert seen == ["queued", "queued", "running", "done"]


def test_a_job_that_is_found_again_is_followed_whoever_holds_its_folder(jobs):
    (job,) = jobs(1)
    hold(job, host="node17", job="42")

    class Finder(Launcher):
        def find(self, job):
            return Made(job, polls=3, code=0)

    seen = []
    run_jobs([job], Finder(), lambda statuses: seen.append(statuses[0].state), pause=0)
    assert seen == ["running", "running", "done"]


@pytest.mark.parametrize(("survives", "state"), [(True, "done"), (False, "failed")])
def test_scores_written_on_another_machine_are_waited_for(jobs, survives, state):
    (job,) = jobs(1)

    class Distant(Launcher):
        def start(self, made, taken=()):
            return super().start(jobs(9)[8])

    rounds = []

    def watch(statuses):
        rounds.append(statuses[0].state)
        if len(rounds) == 6:
            finish(job)

    (status,) = run_jobs([job], Distant(survives=survives), watch, pause=0)
    assert status.state == state


def test_scores_that_never_appear_are_waited_for_a_while(jobs, monkeypatch):
    monkeypatch.setattr(launch, "APPEARS", 0.2)

    class Distant(Launcher):
        def start(self, made, taken=()):
            return super().start(jobs(9)[8])

    (status,) = run_jobs(jobs(1), Distant(survives=True), pause=0.01)
    assert (status.state, status.reason) == ("failed", "ended well, but left no scores")


def test_jobs_run_where_no_terminal_hangs_up(jobs, monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP")  # as on Windows
    assert [status.state for status in run_jobs(jobs(2), Launcher(), pause=0)] == ["done", "done"]


HUNG_UP = """
import signal
import sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and what is started here would inherit that
from pathlib import Path
from semiseg.interfaces.launcher import Job
from semiseg.study.launch import run_jobs
from semiseg.launchers.local import LocalLauncher
here = Path(sys.argv[1])
code = f"import os, pathlib, time; pathlib.Path({str(here / 'child')!r}).write_text(str(os.getpid())); time.sleep(60)"
Job.command = property(lambda self: [sys.executable, "-c", code])
try:
    run_jobs([Job("m", here / "r.yaml", here / "m", here / "m.log", 1)], LocalLauncher(jobs=1), pause=0.1)
except KeyboardInterrupt as error:
    sys.exit(100 + error.args[0])
"""


@pytest.mark.slow
def test_a_closed_terminal_leaves_no_orphans(tmp_path):
    study = subprocess.Popen([sys.executable, "-c", HUNG_UP, str(tmp_path)])
    child, end = tmp_path / "child", time.monotonic() + 60
    while not (child.exists() and child.read_text()) and time.monotonic() < end:
        time.sleep(0.1)
    study.send_signal(signal.SIGHUP)
    assert study.wait(30) == 100 + signal.SIGHUP
    with pytest.raises(ProcessLookupError):
        os.kill(int(child.read_text()), 0)


@pytest.mark.parametrize(("survives", "stopped"), [(False, [True, True]), (True, [False, False])])
def test_an_interrupt_stops_local_jobs_and_leaves_those_of_a_cluster(jobs, survives, stopped):
    launcher = Launcher(survives=survives)

    def watch(statuses):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs(), launcher, watch, pause=0)
    assert [made.stopped for made in launcher.started] == stopped


def test_progress_is_read_off_the_log(jobs):
    (job,) = jobs(1)
    assert read_progress(RunFolder(job.folder), 10) == Progress()
    log(job, 0.1, 0.5, 0.4)
    assert read_progress(RunFolder(job.folder), 10) == Progress(3, 0.4, 14.0)


def test_a_line_that_is_being_written_is_left_out(jobs):
    (job,) = jobs(1)
    log(job, 0.1, 0.5)
    with RunFolder(job.folder).log.open("a") as file:
        file.write('{"epoch": 3, "seco')
    assert read_progress(RunFolder(job.folder), 10).epoch == 2


def test_epochs_without_validation_keep_the_last_one(jobs):
    (job,) = jobs(1)
    log(job, 0.7)
    with RunFolder(job.folder).log.open("a") as file:
        file.write('{"epoch": 2, "seconds": 4.0}\n')
    assert read_progress(RunFolder(job.folder), 10) == Progress(2, 0.7, 24.0)


def test_only_the_end_of_a_long_log_is_read(jobs):
    (job,) = jobs(1)
    log(job, *[0.5] * 5_000)
    assert read_progress(RunFolder(job.folder), 6_000).epoch == 5_000


def test_the_end_of_what_a_job_said(tmp_path):
    path = tmp_path / "x.log"
    assert log_end(path) == ""
    path.write_text("\n".join(map(str, range(100))))
    assert log_end(path, 3) == "97\n98\n99"
