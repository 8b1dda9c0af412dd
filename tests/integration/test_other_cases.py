"""A run goes on with the cases that it began with, or not at all; one that never began leaves its folder free."""

import json
from contextlib import nullcontext

import nibabel
import numpy as np
import pytest
from small_run import SMALL

import semiseg
from semiseg.errors import DataError, Interrupted, RunError
from semiseg.progress import Meter, Reporter

IDS = [f"c{index}" for index in range(10)]


def write(root, case_id):
    draw = np.random.default_rng(int(case_id[1:]))
    label = np.zeros((20, 20, 20), np.uint8)
    label[5:12, 5:12, 5:12] = 1
    image = draw.normal(100, 10, label.shape).astype(np.float32) + 50 * label
    for folder, values in (("images", image), ("labels", label)):
        path = root / "labeled" / folder / f"{case_id}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)


def remove(root, case_id):
    for folder in ("images", "labels"):
        (root / "labeled" / folder / f"{case_id}.nii.gz").unlink()


@pytest.fixture
def root(tmp_path):
    for case_id in IDS:
        write(tmp_path / "data", case_id)
    return tmp_path / "data"


@pytest.fixture
def recipe(root):
    return {
        **SMALL,
        "dataset": {"name": "folder", "root": str(root), "classes": {"bright": 1}},
        "split": {"test": 3, "validation": 1, "labeled": 3},
        "training": {**SMALL["training"], "epochs": 2, "examples_per_epoch": 4},
    }


class Stopping(Reporter):
    """Stops a run after its first step, as Ctrl-C would."""

    def work(self, name, total, done=0, unit=""):
        class Stop(Meter):
            def at(self, done, figures=None):
                raise Interrupted("stopped", "")

        return nullcontext(Stop()) if name == "training" else super().work(name, total, done, unit)


def begin(recipe, folder):
    with pytest.raises(Interrupted):
        semiseg.run(recipe, folder, reporter=Stopping())
    return json.loads((folder / "split.json").read_text())


@pytest.mark.parametrize("role", ["test", "validation", "labeled", "unlabeled"])
def test_a_case_that_is_gone_moves_no_other_into_its_role(recipe, root, tmp_path, role):
    """A count would be drawn anew: a case that was trained on could become a test case."""
    folder = tmp_path / "run"
    split = begin(recipe, folder)
    gone = split[role][0]["id"]
    remove(root, gone)
    with pytest.raises(RunError, match="cases have changed since this run began") as caught:
        semiseg.run(recipe, folder, resume=True)
    assert any(gone in p.where and p.what == f"was {role}, would be absent" for p in caught.value.problems)
    write(root, gone)
    assert semiseg.run(recipe, folder, resume=True).summary["evaluation_hash"] == split["evaluation_hash"]


def test_a_new_case_is_refused_too_and_a_finished_run_is_left_alone(recipe, root, tmp_path):
    folder = tmp_path / "run"
    begin(recipe, folder)
    write(root, "c99")
    with pytest.raises(RunError) as caught:
        semiseg.run(recipe, folder, resume=True)
    assert "c99" in [p.where for p in caught.value.problems]
    remove(root, "c99")
    finished = semiseg.run(recipe, folder, resume=True)
    write(root, "c99")
    assert semiseg.run(recipe, folder, resume=True).scores == finished.scores


def test_a_run_that_failed_on_its_data_may_begin_again_with_a_mended_recipe(recipe, tmp_path):
    folder = tmp_path / "run"
    wrong = {**recipe, "dataset": {**recipe["dataset"], "classes": {"dark": 2}}}
    with pytest.raises(DataError, match="1"):
        semiseg.run(wrong, folder)
    assert semiseg.run(recipe, folder).summary["cases"]["test"] == 3
