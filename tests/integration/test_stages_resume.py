"""A training in stages with pseudo-labels, killed in every part of it, ends as one that was left alone."""

import copy
import json
import random
import shutil
import time

import pytest
from helpers_processes import run as semiseg
from ruamel.yaml import YAML
from small_run import SMALL
from test_kill_and_resume import result, start, steps_done, wait_for

from semiseg.runs.checkpoint import load_state

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "stages.yaml"
    recipe = copy.deepcopy(SMALL)
    recipe["strategy"] = {"name": "self_training", "reliable_share": 0.5, "snapshots": 2}
    recipe["split"] = {"test": 1, "validation": 1, "labeled": 1}
    with path.open("w") as file:
        YAML(typ="safe").dump(recipe, file)
    return path


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    semiseg("run", recipe, "-o", folder)
    return folder


def manifests(folder):
    return {p.parent.name: json.loads(p.read_text()) for p in (folder / "pseudo_labels").glob("*/manifest.json")}


def test_the_stages_follow_one_another(whole):
    found = manifests(whole)
    assert found.keys() == {"reliable", "student"}
    assert [len(found[name]["served"]) for name in ("reliable", "student")] == [2, 3]  # half of three, and all
    assert len({found[name]["weights"] for name in found}) == 2
    log = [json.loads(line)["train"] for line in (whole / "log.jsonl").read_text().splitlines()]
    assert "pseudo" not in log[0]
    assert log[-1]["pseudo"] > 0
    first, second = (load_state(whole / "checkpoints" / f"snapshot-teacher-{n}.pt") for n in (1, 2))
    assert (first["step"], second["step"]) == (2, 4)  # thirds of the teacher's six steps of twelve


def test_killed_at_several_steps_it_ends_alike(recipe, whole, tmp_path):
    folder, draw = tmp_path / "run", random.Random(7)
    for after in (2, 6, 9):
        process = start(recipe, folder)
        wait_for(process, lambda after=after: steps_done(folder) >= after)
        time.sleep(draw.random() * 0.1)
        process.kill()
        process.communicate()
    semiseg("run", recipe, "-o", folder, "--resume", "--set", "training.workers=1")
    assert result(folder) == result(whole)
    assert manifests(folder) == manifests(whole)


def test_killed_while_labeling_it_labels_the_rest(recipe, whole, tmp_path):
    folder = tmp_path / "run"
    process = start(recipe, folder)
    wait_for(process, lambda: any((folder / "pseudo_labels").rglob("*.npy")))
    process.kill()
    process.communicate()
    semiseg("run", recipe, "-o", folder, "--resume")
    assert result(folder) == result(whole)
    assert manifests(folder) == manifests(whole)


def test_pseudo_labels_that_are_gone_are_said(recipe, whole, tmp_path):
    folder = tmp_path / "run"
    process = start(recipe, folder)
    wait_for(process, lambda: steps_done(folder) >= 7)
    process.kill()
    process.communicate()
    if steps_done(folder) in (9, 12):  # where a stage begins they would be made anew: one step back
        (folder / "checkpoints" / f"step-{steps_done(folder):08d}.pt").unlink()
    shutil.rmtree(folder / "pseudo_labels")
    done = semiseg("run", recipe, "-o", folder, "--resume", check=False)
    assert done.returncode == 4
    assert "The pseudo-labels of stage" in done.stderr
