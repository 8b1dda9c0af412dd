import time

from helpers_launchers import WRITES

from semiseg.interfaces.launcher import Job
from semiseg.launchers import local
from semiseg.launchers.local import LocalLauncher, visible_gpus
from semiseg.study.launch import run_jobs


def test_a_job_is_the_plain_command(tmp_path):
    made = Job("m", tmp_path / "a b.yaml", tmp_path / "m", tmp_path / "m.log", 1)
    assert str(made) == f"semiseg run '{tmp_path}/a b.yaml' --output {tmp_path}/m --resume --quiet"


def test_local_jobs_are_processes_whose_words_are_kept(job, tmp_path):
    good = job(WRITES.format(str(tmp_path / "good")), "good")
    bad = job("import sys; sys.exit('no luck')", "bad")
    statuses = run_jobs([good, bad], LocalLauncher(jobs=2), pause=0.02)
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
    run_jobs(jobs, LocalLauncher(jobs=4), pause=0.02)
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


def test_a_job_gets_the_gpu_that_the_fewest_use(job, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "visible_gpus", lambda: ["4", "5", "6"])
    go = tmp_path / "go"
    code = "import os, pathlib, time; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True)\n"
    code += f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)"
    launcher, work = LocalLauncher(), [job(code, f"m{i}") for i in range(2)]
    running = [launcher.start(made, ["4"]) for made in work]
    go.touch()
    while any(process.poll() is None for process in running):
        time.sleep(0.05)
    assert [made.log.read_text().splitlines()[-1] for made in work] == ["5", "6"]
    assert launcher.find(work[0]) is None


def test_how_a_killed_job_ended_is_told(job):
    (status,) = run_jobs([job("import os; os.kill(os.getpid(), 9)")], LocalLauncher(jobs=1), pause=0.02)
    assert (status.state, status.code, status.reason) == ("failed", -9, "was killed by SIGKILL")
