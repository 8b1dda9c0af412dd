import json
import os
import socket
import subprocess
import sys

import pytest

from semiseg.engine.lock import locked
from semiseg.errors import RunError


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
from semiseg.engine.lock import locked
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
