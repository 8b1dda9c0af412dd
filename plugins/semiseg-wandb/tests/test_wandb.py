"""Runs that W&B writes in its offline mode, read back from its files."""

import json
import struct
import time

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from semiseg.errors import ComponentError
from semiseg.registry import create
from semiseg.testing.observer import RECIPE, SCORES, VALUES, ObserverContract, make_run
from semiseg_wandb.observer import KEPT

BLOCK = 32768


@pytest.fixture
def observer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda: create("observer", "wandb", {"mode": "offline", "project": "heart"})


class TestWandB(ObserverContract):
    @pytest.fixture
    def observer(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        return lambda: create("observer", "wandb", {"mode": "offline"})


def records(path):
    """The records of a W&B file: LevelDB's log format, in blocks of 32 KiB, after a header of 7 bytes."""
    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # no room for a record's head
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole = (whole if kind in (3, 4) else b"") + data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a full record, or the last part of one
            record = Record()
            record.ParseFromString(whole)
            yield record


def parts(folder):
    """Of each process of a run, in order: its records, as soon as W&B's own process has written the last one."""
    until = time.monotonic() + 30
    while True:
        found = [list(records(path)) for path in folder.glob("wandb/offline-run-*/run-*.wandb")]
        if all(part and part[-1].WhichOneof("record_type") == "exit" for part in found):
            return sorted(found, key=begun_at)
        assert time.monotonic() < until, "W&B has not written the end of a run"
        time.sleep(0.05)


def begun_at(part):
    (begun,) = [record.run for record in part if record.WhichOneof("record_type") == "run"]
    return begun.start_time.ToNanoseconds()


def history(part, name):
    points = []
    for record in part:
        if record.WhichOneof("record_type") == "history":
            items = {(item.key or "/".join(item.nested_key)): item.value_json for item in record.history.item}
            if name in items:
                points.append((record.history.step.num or int(items["_step"]), json.loads(items[name])))
    return points


def pairs(part, kind, field):
    """The last values that records of a kind give to names."""
    found = {}
    for record in part:
        if record.WhichOneof("record_type") == kind:
            for item in getattr(getattr(record, kind), field):
                found[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    return found


def exit_code(part):
    (code,) = [record.exit.exit_code for record in part if record.WhichOneof("record_type") == "exit"]
    return code


def test_a_run_is_there_with_recipe_curves_scores_and_files(observer, tmp_path):
    one, run = observer(), make_run(tmp_path / "run")
    one.begin(run)
    one.record(10, VALUES)
    one.record(20, VALUES | {"train/loss": 0.25})
    one.end(SCORES, [run.folder / "recipe.yaml", run.folder / "scores.csv"])

    (part,) = parts(run.folder)
    (begun,) = [record.run for record in part if record.WhichOneof("record_type") == "run"]
    assert (begun.project, begun.display_name) == ("heart", "heart")
    assert begun.run_id == json.loads((run.folder / KEPT).read_text())["id"]
    config = pairs(part, "config", "update")
    assert {key: config[key] for key in RECIPE} == RECIPE
    assert history(part, "train/loss") == [(10, 0.5), (20, 0.25)]
    summary = pairs(part, "summary", "update")
    assert {name: summary[name] for name in SCORES} == SCORES
    assert exit_code(part) == 0
    kept = [file.path for record in part if record.WhichOneof("record_type") == "files" for file in record.files.files]
    assert {"recipe.yaml", "scores.csv"} <= {*kept}


def test_a_resumed_run_has_the_same_id_and_no_step_twice(observer, tmp_path):
    first, second = observer(), observer()
    first.begin(make_run(tmp_path / "run"))
    first.record(10, VALUES)
    first.record(20, VALUES)
    first.fail("no memory")
    resumed = make_run(tmp_path / "run", resumed=True)
    resumed.recipe["training"]["patch_size"] = [32, 32]
    second.begin(resumed)
    second.record(20, VALUES)
    second.record(30, VALUES)
    second.end(SCORES, [])

    before, after = parts(tmp_path / "run")
    ids = {record.run.run_id for part in (before, after) for record in part if record.HasField("run")}
    assert len(ids) == 1
    assert [step for part in (before, after) for step, _ in history(part, "train/loss")] == [10, 20, 30]
    assert pairs(before, "summary", "update")["failure"] == "no memory"
    assert [exit_code(before), exit_code(after)] == [1, 0]
    assert pairs(after, "config", "update")["training"]["patch_size"] == [32, 32]


def test_without_an_api_key_it_is_refused_before_the_run(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(ComponentError, match="no API key"):
        create("observer", "wandb", {"mode": "online"})
