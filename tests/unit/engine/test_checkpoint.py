import errno
import hashlib
import subprocess
import sys

import pytest
import torch

from semiseg.engine.checkpoint import Checkpoints, checksum_file, load_state, save_state
from semiseg.errors import RunError, StorageError
from semiseg.io import atomic


def test_what_is_saved_is_what_is_loaded(tmp_path):
    state = {"weights": torch.randn(3, 4), "step": 7, "best": None, "names": ["a", "b"], "sums": {"loss": 0.1}}
    save_state(tmp_path / "x.pt", state)
    loaded = load_state(tmp_path / "x.pt")
    assert torch.equal(loaded.pop("weights"), state.pop("weights"))
    assert loaded == state


@pytest.mark.parametrize("position", [0, 40, 200, -1])
def test_one_changed_bit_is_noticed(tmp_path, position):
    path = tmp_path / "x.pt"
    save_state(path, {"weights": torch.zeros(100)})
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)
    with pytest.raises(RunError, match="does not match its checksum"):
        load_state(path)


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'owned')!r}, 'w').close()",))

    path = tmp_path / "x.pt"
    with path.open("wb") as file:
        torch.save({"weights": Malicious()}, file)
    checksum_file(path).write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(RunError, match="cannot be read"):
        load_state(path)
    assert not (tmp_path / "owned").exists()


def test_two_are_kept_and_the_newest_whole_one_is_taken(tmp_path):
    said = []
    checkpoints = Checkpoints(tmp_path, said.append)
    assert checkpoints.newest() is None
    for step in (1, 2, 3):
        checkpoints.save(step, {"step": step})
    assert [p.name for p in checkpoints.steps()] == ["step-00000002.pt", "step-00000003.pt"]
    assert checkpoints.newest() == {"step": 3}
    checkpoints.steps()[-1].write_bytes(b"half")
    assert checkpoints.newest() == {"step": 2}
    assert "step-00000003.pt is damaged" in said[0]


def test_orphans_of_a_killed_writer_are_swept(tmp_path):
    (tmp_path / ".tmp-123-abc-step-00000009.pt").write_bytes(b"half")
    checkpoints = Checkpoints(tmp_path, print)
    assert checkpoints.newest() is None
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file_and_says_what_was_needed(tmp_path):
    path = tmp_path / "x.pt"
    save_state(path, {"step": 1})
    code = f"""
import resource, signal, torch
from pathlib import Path
from semiseg.engine.checkpoint import save_state
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
save_state(Path({str(path)!r}), {{"weights": torch.zeros(100_000)}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "StorageError" in done.stderr
    assert "x.pt could not be written" in done.stderr
    assert "bytes are free" in done.stderr
    assert load_state(path) == {"step": 1}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.pt", "x.pt.sha256"]


def test_an_error_of_the_disk_is_a_storage_error(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(StorageError, match="no room"):
        atomic.write_text(tmp_path / "a.txt", "text")
    assert list(tmp_path.iterdir()) == []
