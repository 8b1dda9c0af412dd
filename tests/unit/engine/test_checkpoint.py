import errno
import hashlib
import subprocess
import sys

import pytest
import torch

from semiseg.errors import RunError, StorageError, TrainingError
from semiseg.io import atomic
from semiseg.runs.checkpoint import (
    Checkpoints,
    checksum_file,
    file_digest,
    load_state,
    load_weights_of,
    require_finite,
    same_weights,
    save_state,
)


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


def test_a_damaged_checkpoint_does_not_count_as_one_that_is_kept(tmp_path):
    said = []
    checkpoints = Checkpoints(tmp_path, said.append)
    for step in (100, 200):
        checkpoints.save(step, {"step": step})
    (tmp_path / "step-00000200.pt").write_bytes(b"half")
    assert checkpoints.newest() == {"step": 100}
    checkpoints.save(150, {"step": 150})
    assert [p.name for p in checkpoints.steps()] == ["step-00000100.pt", "step-00000150.pt"]
    assert (tmp_path / "step-00000200.pt.damaged").read_bytes() == b"half"
    assert "It is now step-00000200.pt.damaged" in said[0]
    checkpoints.steps()[-1].write_bytes(b"half")
    assert checkpoints.newest() == {"step": 100}


def test_where_all_are_damaged_the_next_one_stays(tmp_path):
    checkpoints = Checkpoints(tmp_path, lambda text: None)
    for step in (100, 200):
        checkpoints.save(step, {"step": step}).write_bytes(b"half")
    assert checkpoints.newest() is None
    checkpoints.save(10, {"step": 10})
    assert checkpoints.newest() == {"step": 10}


def test_best_goes_back_with_the_step_that_is_gone_back_to(tmp_path):
    checkpoints = Checkpoints(tmp_path, print)
    best = checkpoints.weights_file("best")
    checkpoints.save(5, {"step": 5})  # no best yet
    for step in (10, 20, 30):
        checkpoints.save_weights("best", {"of": step}, step)
        checkpoints.save(step, {"step": step})
    checkpoints.save_weights("best", {"of": 35}, 35)
    assert sorted(p.name for p in tmp_path.glob("*.pt")) == [
        "best-at-00000020.pt",
        "best-at-00000030.pt",
        "best.pt",
        "step-00000020.pt",
        "step-00000030.pt",
    ]
    for step in (30, 20):
        checkpoints.restore_best(step)
        assert load_state(best) == {"strategy": {"of": step}, "step": step}
    before = best.stat()
    checkpoints.restore_best(20)
    assert best.stat() == before
    assert (tmp_path / "best-at-00000030.pt").samefile(best) is False
    assert load_state(tmp_path / "best-at-00000030.pt")["step"] == 30


def test_a_damaged_best_is_replaced_by_the_copy_of_its_step_which_is_other_bytes(tmp_path):
    said = []
    checkpoints = Checkpoints(tmp_path, said.append)
    checkpoints.save_weights("best", {"of": torch.arange(3)}, 1)
    checkpoints.save(1, {"step": 1})
    best = checkpoints.weights_file("best")
    good = best.read_bytes()
    with best.open("r+b") as file:  # in place, as a disk does
        file.seek(len(good) // 2)
        file.write(b"damage")
    checkpoints.restore_best(1)
    assert best.read_bytes() == good
    assert load_state(best)["step"] == 1
    assert said == [
        f"The checkpoint {best} is damaged: it does not match its checksum. It is restored from best-at-00000001.pt."
    ]
    best.unlink()
    checkpoints.restore_best(1)
    assert best.read_bytes() == good


def test_a_damaged_best_is_not_copied_over_an_older_copy_that_is_whole(tmp_path):
    said = []
    checkpoints = Checkpoints(tmp_path, said.append)
    checkpoints.save_weights("best", {}, 1)
    checkpoints.save(1, {"step": 1})
    best = checkpoints.weights_file("best")
    best.write_bytes(b"half")
    checkpoints.save(2, {"step": 2})
    assert said == [f"Note: {best} does not match its checksum: it is damaged on disk."]
    assert load_state(tmp_path / "best-at-00000001.pt")["step"] == 1
    assert not (tmp_path / "best-at-00000002.pt").exists()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ([1, 2], "contains a list, not a state saved by semiseg"),
        (torch.zeros(3), "contains a Tensor, not a state saved by semiseg"),
        ({"step": 1}, "contains no strategy weights"),
        ({"strategy": [1]}, "contains no strategy weights"),
        ({"strategy": {"a": 1}}, "contains no strategy weights"),
    ],
)
def test_a_file_that_is_whole_and_holds_something_else_is_told(tmp_path, state, said):
    path = tmp_path / "best.pt"
    torch.save(state, path)
    checksum_file(path).write_text(file_digest(path))
    with pytest.raises(RunError, match=said) as caught:
        load_weights_of(path)
    assert str(path) in str(caught.value)


def test_weights_carry_the_digest_of_the_model_they_belong_to(tmp_path):
    Checkpoints(tmp_path, print, "abc").save_weights("last", {}, 3)
    assert load_state(tmp_path / "last.pt") == {"strategy": {}, "step": 3, "model": "abc"}


def test_a_best_that_cannot_be_put_back_is_said(tmp_path):
    said = []
    checkpoints = Checkpoints(tmp_path, said.append)
    checkpoints.save_weights("best", {}, 1)
    checkpoints.save(1, {"step": 1})
    checkpoints.save_weights("best", {}, 2)
    (tmp_path / "best-at-00000001.pt").write_bytes(b"half")
    checkpoints.restore_best(1)
    assert "best-at-00000001.pt is damaged" in said[0]
    assert load_state(checkpoints.weights_file("best"))["step"] == 2


KILLED = """
import os, signal, sys
from pathlib import Path
from semiseg.runs.checkpoint import checksum_file, load_state, save_state

def save_and_be_killed(path, step, at):
    # at 0 before the first rename, at 1 after it, at 2 before the second ...; true where the save came to its end
    plain, count = os.replace, 0
    def replace(source, target):
        nonlocal count
        for rename in (lambda: None, lambda: plain(source, target)):
            rename()
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
    if os.fork() == 0:
        os.replace = replace
        save_state(path, {"step": step})
        os._exit(0)
    return os.wait()[1] == 0

fresh, again = Path(sys.argv[1]) / "fresh.pt", Path(sys.argv[1]) / "again.pt"
save_state(again, {"step": 0})
for at in range(100):
    save_state(fresh, {"step": -1})
    ended = save_and_be_killed(fresh, at, at)
    save_and_be_killed(again, at, at)  # over what the kills before left
    print(at, load_state(fresh)["step"], load_state(again)["step"])
    if ended:
        break
for path in (fresh, again):
    save_state(path, {"step": 1000})
    assert len(checksum_file(path).read_text().splitlines()) == 1
"""


@pytest.mark.slow
def test_killed_at_any_rename_a_checkpoint_is_the_old_one_or_the_new_one(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(lines) == 7  # three renames: both checksums, the file, its checksum alone
    assert lines == [(at, *((-1, 0) if at < 3 else (at, at))) for at in range(7)]


def networks():
    return torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2), "b": torch.nn.BatchNorm3d(2)})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_not_finite_is_named(value):
    bad = networks()
    require_finite(bad, 7)
    with torch.no_grad():
        bad["a"].bias[1] = value
        bad["b"].weight[0] = value
    with pytest.raises(
        TrainingError, match=r"not finite after step 7: a\.bias and 1 more.\n.*last good checkpoint is kept"
    ):
        require_finite(bad, 7)


def test_a_running_statistic_that_is_nan_is_named_and_an_infinite_buffer_is_let_be():
    bad = networks()
    bad["a"].register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    require_finite(bad, 7)
    bad["b"].running_var[0] = float("nan")
    with pytest.raises(TrainingError, match=r"b\.running_var\."):
        require_finite(bad, 7)


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
from semiseg.runs.checkpoint import save_state
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
    with pytest.raises(StorageError, match="no space"):
        atomic.write_text(tmp_path / "a.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_the_same_weights_are_known_by_their_values(tmp_path):
    weights = {"a": torch.randn(3, 4), "b": torch.arange(5)}
    changed = {**weights, "a": weights["a"].clone()}
    changed["a"][2, 3] += 1e-6
    paths = [tmp_path / name for name in ("one.pt", "later.pt", "changed.pt", "fewer.pt")]
    for path, state, step in zip(paths, (weights, weights, changed, {"a": weights["a"]}), (3, 4, 3, 3), strict=True):
        save_state(path, {"strategy": state, "step": step})
    assert [same_weights(paths[0], path) for path in paths] == [True, True, False, False]
    with pytest.raises(RunError, match="no checkpoint"):
        same_weights(paths[0], tmp_path / "missing.pt")
