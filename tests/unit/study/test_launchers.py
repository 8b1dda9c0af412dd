import os
import sys
import time

import pytest

from semiseg.errors import RecipeError
from semiseg.pipeline.folder import RunFolder
from semiseg.study import local
from semiseg.study.jobs import Job
from semiseg.study.launch import run_jobs
from semiseg.study.local import LocalLauncher, visible_gpus
from semiseg.study.slurm import SlurmLauncher


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job whose command is a Python text, in place of ``semiseg run``."""

    def make(code, name="m"):
        made = Job(name, tmp_path / "r.yaml", RunFolder(tmp_path / name), tmp_path / "logs" / f"{name}.log", 1)
        codes[name] = code
        return made

    codes: dict[str, str] = {}
    monkeypatch.setattr(Job, "command", property(lambda self: [sys.executable, "-c", codes[self.name]]))
    return make


WRITES = "import os, pathlib; p = pathlib.Path({!r}); p.mkdir(); (p / 'summary.json').write_text('{{}}'); print('hi')"


def test_a_job_is_the_plain_command(tmp_path):
    made = Job("m", tmp_path / "a b.yaml", RunFolder(tmp_path / "m"), tmp_path / "m.log", 1)
    assert str(made) == f"semiseg run '{tmp_path}/a b.yaml' --output {tmp_path}/m --resume --quiet"


def test_local_jobs_are_processes_whose_words_are_kept(job, tmp_path):
    good = job(WRITES.format(str(tmp_path / "good")), "good")
    bad = job("import sys; sys.exit('no luck')", "bad")
    statuses = run_jobs([good, bad], LocalLauncher(2), pause=0.02)
    assert [(s.state, s.code) for s in statuses] == [("done", None), ("failed", 1)]
    assert good.log.read_text().splitlines()[-1] == "hi"
    assert bad.log.read_text().splitlines() == [f"$ {bad}", "no luck"]


def test_local_jobs_share_cores_and_gpus(job, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local, "visible_gpus", lambda: ["0", "1"])
    monkeypatch.setattr(local, "available_cores", lambda: 8)
    together = f"import os, pathlib, time; here = pathlib.Path({str(tmp_path)!r}); (here / str(os.getpid())).touch()\n"
    together += "while sum(p.name.isdecimal() for p in here.iterdir()) < 4: time.sleep(0.05)\n"
    code = "print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['OMP_NUM_THREADS'])"
    jobs = [job(together + code, f"m{i}") for i in range(4)]
    run_jobs(jobs, LocalLauncher(4), pause=0.02)
    said = sorted(j.log.read_text().splitlines()[-1] for j in jobs)
    assert said == ["0 2", "0 2", "1 2", "1 2"]
    assert LocalLauncher().slots == 2


def test_threads_that_the_user_chose_stay(job, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    made = job("import os; print(os.environ['OMP_NUM_THREADS'])")
    run_jobs([made], LocalLauncher(), pause=0.02)
    assert made.log.read_text().splitlines()[-1] == "3"


def test_without_a_gpu_there_is_one_job_at_a_time(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
    assert LocalLauncher().slots == 1


@pytest.mark.slow
class TestSubmitit:
    """By submitit's local executor, which takes the same path but for sbatch."""

    def test_a_job_runs_and_its_exit_code_is_known(self, job, tmp_path):
        good = job(WRITES.format(str(tmp_path / "good")), "good")
        bad = job("import sys; sys.exit('no luck')", "bad")
        launcher = SlurmLauncher(tmp_path / "jobs", {"timeout_min": 5}, cluster="local")
        statuses = run_jobs([good, bad], launcher, pause=0.05)
        assert [(s.state, s.code) for s in statuses] == [("done", None), ("failed", 1)]
        assert bad.log.read_text().splitlines()[-1] == "no luck"

    def test_a_job_can_be_cancelled(self, job, tmp_path):
        launcher = SlurmLauncher(tmp_path / "jobs", {}, cluster="local")
        running = launcher.start(job("import time; time.sleep(60)"))
        assert running.poll() is None
        running.stop()
        statuses = run_jobs([], launcher)
        assert statuses == []
        while running.poll() is None:
            pass
        assert running.poll() != 0

    def test_unknown_options_are_refused(self, tmp_path):
        with pytest.raises(RecipeError, match="slurm: "):
            SlurmLauncher(tmp_path / "jobs", {"partitoin": "gpu"}, cluster="local")

    def test_where_there_is_no_cluster_it_is_said(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
        with pytest.raises(RecipeError, match=r"No SLURM cluster is here.*\n.*--launcher local"):
            SlurmLauncher(tmp_path / "jobs", {})


SBATCH = """#!/bin/sh
cp "$1" {folder}/script.sh
export SLURM_JOB_ID=42 SLURM_JOB_NODELIST=here SLURM_JOB_NUM_NODES=1
export SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0
(sh "$1"; touch {folder}/ended) >{folder}/said 2>&1 &
echo Submitted batch job 42
"""
SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do case "$1" in --output|--error) shift;; esac; shift; done
exec "$@"
"""
SACCT = """#!/bin/sh
echo "JobID|State|NodeList"
if [ -e {folder}/ended ]; then echo "42|COMPLETED|here"; else echo "42|RUNNING|here"; fi
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A cluster of one machine and one job: sbatch, srun and sacct as scripts."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT)):
        (folder / name).write_text(text.replace("{folder}", str(folder)))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.mark.slow
def test_on_a_cluster_a_job_is_submitted_with_its_options_and_found_again(cluster, job, tmp_path):
    go = tmp_path / "go"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)\n"
    made = job(wait + WRITES.format(str(tmp_path / "m")))
    options = {"slurm_partition": "gpu", "timeout_min": 60, "mem_gb": 64}
    first = SlurmLauncher(tmp_path / "jobs", options).start(made)
    assert first.poll() is None
    script = (cluster / "script.sh").read_text()
    for word in ("--partition=gpu", "--time=60", "--mem=64GB", "--gpus-per-node=1", "--job-name=m"):
        assert word in script

    again = SlurmLauncher(tmp_path / "jobs", options)
    (cluster / "script.sh").unlink()
    found = again.start(made)
    assert not (cluster / "script.sh").exists(), "it was submitted twice"
    go.touch()
    end = time.monotonic() + 60
    while found.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
    assert found.poll() == 0
    assert made.folder.summary.exists()
