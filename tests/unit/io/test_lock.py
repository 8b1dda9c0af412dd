import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from semiseg.cli.main import main
from semiseg.errors import RunError
from semiseg.io import lock
from semiseg.io.lock import is_here, locked, remove_lock_of_job, told


def holder(folder):
    return json.loads((folder / "lock.json").read_text())


def test_the_lock_names_its_holder_and_goes_away(tmp_path):
    with locked(tmp_path):
        assert holder(tmp_path)["pid"] == os.getpid()
        assert holder(tmp_path)["host"] == socket.gethostname()
        with pytest.raises(RunError, match=f"process {os.getpid()} on"), locked(tmp_path):
            pass
        assert holder(tmp_path)["pid"] == os.getpid()
    assert not (tmp_path / "lock.json").exists()


def test_a_dead_holder_s_lock_is_taken_over(tmp_path):
    code = f"""
import os
from pathlib import Path
from semiseg.io.lock import locked
with locked(Path({str(tmp_path)!r})):
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (tmp_path / "lock.json").exists()
    with locked(tmp_path):
        assert holder(tmp_path)["pid"] == os.getpid()


def test_another_process_with_a_dead_one_s_number_does_not_hold_it(tmp_path):
    record = {"host": socket.gethostname(), "pid": os.getpid(), "started": "1"}
    (tmp_path / "lock.json").write_text(json.dumps(record))
    with locked(tmp_path):
        pass


def test_a_lock_of_another_host_is_respected(tmp_path):
    (tmp_path / "lock.json").write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": "1"}))
    with pytest.raises(RunError, match="on elsewhere"), locked(tmp_path):
        pass


def test_a_half_written_lock_is_taken_over(tmp_path):
    (tmp_path / "lock.json").write_text('{"host": "x')
    with locked(tmp_path):
        pass


ANOTHER = {"host": "node17", "pid": 123, "started": "1", "job": "42", "gpus": "0"}


def leave(folder, record=ANOTHER):
    (folder / "lock.json").write_text(json.dumps(record))


def test_a_requeued_job_takes_its_own_lock_over_from_another_node(tmp_path, monkeypatch):
    leave(tmp_path)
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    assert lock.holder(tmp_path) == {}
    with locked(tmp_path):
        assert holder(tmp_path) | {"started": ""} == {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": "",
            "job": "42",
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        }


@pytest.mark.parametrize("job", ["43", None])
def test_another_job_s_lock_is_respected(tmp_path, monkeypatch, job):
    leave(tmp_path)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    if job:
        monkeypatch.setenv("SLURM_JOB_ID", job)
    with pytest.raises(RunError, match=r"process 123 on node17 \(SLURM job 42\)"), locked(tmp_path):
        pass
    assert told(lock.holder(tmp_path)) == "process 123 on node17 (SLURM job 42)"
    assert not is_here(lock.holder(tmp_path))


def test_a_job_that_runs_here_is_not_taken_over_by_a_second_step_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    with locked(tmp_path), pytest.raises(RunError, match="in use"), locked(tmp_path):
        pass


def test_the_lock_of_a_job_that_is_over_is_removed_and_no_other(tmp_path):
    leave(tmp_path)
    remove_lock_of_job(tmp_path, "41")
    assert holder(tmp_path) == ANOTHER
    remove_lock_of_job(tmp_path, "42")
    assert list(tmp_path.iterdir()) == []
    remove_lock_of_job(tmp_path, "42")
    remove_lock_of_job(tmp_path / "nowhere", "42")


CONTENDER = """
import json, os, sys, time
from pathlib import Path
from semiseg.io.lock import locked
from semiseg.errors import RunError
folder, inside = Path(sys.argv[1]), Path(sys.argv[2])
held, end = 0, time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    try:
        with locked(folder):
            inside.open("x").close()  # fails where another process is inside too
            held += 1
            inside.unlink()
            # The next ones all find the lock of a process that is dead.
            dead = folder / f"dead-{os.getpid()}"
            dead.write_text(json.dumps({"host": os.uname().nodename, "pid": os.getpid(), "started": f"before {held}"}))
            dead.replace(folder / "lock.json")
    except RunError:
        pass
    try:
        json.loads((folder / "lock.json").read_text())  # fails where a lock is seen half written
    except FileNotFoundError:
        pass
print(held)
"""


def test_a_dead_lock_that_many_take_over_at_once_is_held_by_one_at_a_time(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    command = [sys.executable, "-c", CONTENDER, str(folder), str(tmp_path / "inside"), "3"]
    contenders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    said = [process.communicate()[0] for process in contenders]
    assert [process.returncode for process in contenders] == [0] * 6
    assert sum(map(int, said)) > 20
    assert [path.name for path in folder.iterdir() if path.name != "lock.json"] == []


def test_a_living_lock_that_was_renamed_by_mistake_goes_back(tmp_path, monkeypatch):
    """Where the file system does not let takeovers wait for one another."""
    leave(tmp_path, {"host": socket.gethostname(), "pid": os.getpid(), "started": "before"})
    rename = Path.rename

    def late(path, target):
        leave(tmp_path)  # between this process's look and its renaming
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(RunError, match="process 123 on node17"), locked(tmp_path):
        pass
    assert holder(tmp_path) == ANOTHER
    assert [path.name for path in tmp_path.iterdir()] == ["lock.json"]


def test_a_file_system_without_hard_links_will_do(tmp_path, monkeypatch):
    def refuse(*paths):
        raise PermissionError("hard links are not supported")

    monkeypatch.setattr(os, "link", refuse)
    with locked(tmp_path), pytest.raises(RunError, match="in use"), locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


class TestWindows:
    @pytest.fixture(autouse=True)
    def system(self, monkeypatch):
        monkeypatch.setattr(sys, "platform", "win32")

    def test_the_command_line_says_in_one_sentence_where_semiseg_runs(self, monkeypatch, capsys):
        monkeypatch.setattr(sys, "argv", ["semiseg", "recipes"])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert (ended.value.code, said.out) == (4, "")
        assert said.err == (
            "Error: semiseg runs on Linux and macOS, not directly on Windows.\n"
            "    Install WSL (Windows Subsystem for Linux) with wsl --install, and semiseg inside it.\n"
        )

    def test_no_folder_is_locked_and_no_process_is_asked_for(self, tmp_path, monkeypatch):
        leave(tmp_path)
        monkeypatch.setattr(os, "kill", None)  # there it would send Ctrl-C
        with pytest.raises(RunError, match="WSL"), locked(tmp_path):
            pass
        with pytest.raises(RunError, match="WSL"):
            lock.holder(tmp_path)
        assert holder(tmp_path) == ANOTHER


def test_everything_can_be_imported_where_there_is_no_fcntl():
    code = "import sys; sys.modules['fcntl'] = None; import semiseg.pipeline.check, semiseg.study.launch"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
