import json
from dataclasses import dataclass, field

import pytest

from semiseg.engine.lock import locked
from semiseg.pipeline.folder import RunFolder
from semiseg.study.jobs import Job
from semiseg.study.launch import run_jobs
from semiseg.study.status import Progress, log_end, read_progress


@dataclass
class Made:
    """A job that ends after some polls with a code; 0 leaves a summary."""

    job: Job
    polls: int
    code: int
    stopped: bool = False

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

    def start(self, job):
        self.started.append(Made(job, polls=3, code=self.codes.get(job.name, 0)))
        return self.started[-1]


def finish(job):
    job.folder.path.mkdir(parents=True, exist_ok=True)
    job.folder.summary.write_text("{}")


def log(job, *dice, seconds=2.0):
    job.folder.path.mkdir(parents=True, exist_ok=True)
    records = [{"epoch": i + 1, "seconds": seconds, "validation": {"mean_dice": d}} for i, d in enumerate(dice)]
    job.folder.log.write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def jobs(tmp_path):
    def make(n=5):
        return [
            Job(f"m{i}", tmp_path / f"m{i}.yaml", RunFolder(tmp_path / f"m{i}"), tmp_path / f"m{i}.log", 10)
            for i in range(n)
        ]

    return make


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
    assert statuses[1].code == 5

    again = Launcher()
    statuses = run_jobs(work, again, pause=0)
    assert [made.job.name for made in again.started] == ["m1"]
    assert [s.state for s in statuses] == ["kept", "done", "kept", "kept", "kept"]


def test_a_command_that_ends_well_without_scores_has_failed(jobs):
    class Careless(Launcher):
        def start(self, job):
            made = super().start(job)
            made.job = jobs(9)[8]  # its summary goes elsewhere
            return made

    assert [s.state for s in run_jobs(jobs(1), Careless(), pause=0)] == ["failed"]


def test_a_run_of_another_process_is_waited_for_and_taken_up(jobs):
    work = jobs(2)
    work[0].folder.path.mkdir()
    launcher, seen = Launcher(), []

    with locked(work[0].folder.path):
        holder = work[0].folder.path / "lock.json"
        held = holder.read_text()

        def watch(statuses):
            seen.append(statuses[0].state)
            if len(seen) == 3:  # the other process is gone, and has left its run unfinished
                holder.unlink()

        statuses = run_jobs(work, launcher, watch, pause=0)
    assert held
    assert seen[:3] == ["elsewhere"] * 3
    assert [s.state for s in statuses] == ["done", "done"]
    assert [made.job.name for made in launcher.started] == ["m1", "m0"]


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
    assert read_progress(job.folder, 10) == Progress()
    log(job, 0.1, 0.5, 0.4)
    assert read_progress(job.folder, 10) == Progress(3, 0.4, 14.0)


def test_a_line_that_is_being_written_is_left_out(jobs):
    (job,) = jobs(1)
    log(job, 0.1, 0.5)
    with job.folder.log.open("a") as file:
        file.write('{"epoch": 3, "seco')
    assert read_progress(job.folder, 10).epoch == 2


def test_epochs_without_validation_keep_the_last_one(jobs):
    (job,) = jobs(1)
    log(job, 0.7)
    with job.folder.log.open("a") as file:
        file.write('{"epoch": 2, "seconds": 4.0}\n')
    assert read_progress(job.folder, 10) == Progress(2, 0.7, 24.0)


def test_only_the_end_of_a_long_log_is_read(jobs):
    (job,) = jobs(1)
    log(job, *[0.5] * 5_000)
    assert read_progress(job.folder, 6_000).epoch == 5_000


def test_the_end_of_what_a_job_said(tmp_path):
    path = tmp_path / "x.log"
    assert log_end(path) == ""
    path.write_text("\n".join(map(str, range(100))))
    assert log_end(path, 3) == "97\n98\n99"
