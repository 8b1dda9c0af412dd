"""Scribbles and partly labeled volumes, from files to scores: what is trained, validated, scored and reported."""

import csv
import json
from pathlib import Path

import helpers_volumes as made
import numpy as np
import pytest
import torch

from semiseg import check, run
from semiseg.engine.runtime import Runtime
from semiseg.errors import DataError, RecipeError
from semiseg.interfaces.batch import Step
from semiseg.pipeline.model import kept_model, new_model
from semiseg.pipeline.plan import make_plan
from semiseg.pipeline.train import fill_store, training_batches, validator
from semiseg.progress import Reporter
from semiseg.recipe.load import load_recipe
from semiseg.strategies.supervised import Supervised
from semiseg.types import IGNORED

SHAPE = (16, 16, 16)
SCRIBBLE = 9


@pytest.fixture
def recipe(tmp_path):
    """Cases a to e: a cube of class cube, of which every fourth plane is labeled; e has no label."""
    for seed, name in enumerate("abcde"):
        image = made.image(seed, shape=SHAPE) + 1
        image[4:12, 4:12, 4:12] += 1000
        label = np.full(SHAPE, SCRIBBLE, np.uint8)
        label[::4] = 0
        label[4:12:4, 4:12, 4:12] = 1
        part = "unlabeled" if name == "e" else "labeled"
        made.save(tmp_path / "data" / part / "images" / f"{name}.nii.gz", image)
        if name != "e":
            made.save(tmp_path / "data" / part / "labels" / f"{name}.nii.gz", label)
    return {
        "name": "scribbles",
        "seed": 0,
        "dataset": {
            "name": "folder",
            "root": str(tmp_path / "data"),
            "classes": {"cube": 1},
            "ignore": SCRIBBLE,
        },
        "split": {"test": ["d"], "validation": ["c"], "labeled": "all"},
        "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0},
        "strategy": {"name": "cps"},
        "training": {
            "epochs": 2,
            "examples_per_epoch": 4,
            "patch_size": [16, 16, 16],
            "batch_size": {"labeled": 1, "unlabeled": 1},
            "device": "cpu",
            "workers": 0,
        },
        "preprocessing": {"store": str(tmp_path / "store")},
        "inference": {"overlap": 0.0},
    }


def files(recipe, part):
    return sorted((Path(recipe["dataset"]["root"]) / "labeled" / part).iterdir())


@pytest.mark.slow
def test_a_run_trains_on_scribbles_and_scores_the_labeled_voxels(recipe, tmp_path):
    finished = run(recipe, tmp_path / "run")
    n_ignored = 16**3 * 3 // 4
    with (tmp_path / "run" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["n_ignored"], row["n_reference"]) for row in rows} == {(str(n_ignored), str(2 * 8 * 8))}
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["scores"]["ignored"] == {"voxels": n_ignored, "cases": 1}
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["train"]["supervised"] for line in log]
    assert all(0 < loss < 4 for loss in losses)  # of two networks: Dice below 1 and cross entropy about log 2
    assert f"{n_ignored:,} voxels of 1 case are ignored." in (tmp_path / "run" / "report.html").read_text()
    assert (tmp_path / "run" / "preview.png").stat().st_size
    assert json.loads((tmp_path / "run" / "model.json").read_text())["ignore"] == SCRIBBLE
    assert kept_model(finished.folder).load("last", Runtime("cpu", "32")).info.ignore == SCRIBBLE


def test_a_check_describes_the_ignored_voxels(recipe):
    assert "Ignored: 75.0% of the voxels of the labeled cases (value 9)" in check(recipe)
    assert not [line for line in check(recipe, quick=True) if "gnored" in line]
    made.save(files(recipe, "labels")[0], np.full(SHAPE, SCRIBBLE, np.uint8))
    label = made.nibabel.load(files(recipe, "labels")[1]).get_fdata().astype(np.uint8)
    made.save(files(recipe, "labels")[1], np.where(label == 1, 0, label).astype(np.uint8))
    found = check(recipe)
    assert "Note: 1 labeled case has only ignored voxels: a." in found
    assert "Note: 1 labeled case has no foreground among the voxels not ignored: b." in found


def test_a_value_that_is_not_to_be_ignored_is_unknown(recipe):
    with pytest.raises(DataError, match=r"it has values that belong to no class: 9 \(3,072 voxels\)"):
        check(recipe, overrides=["dataset.ignore=null"])
    with pytest.raises(DataError, match=r"dataset\.ignore: the value 1 cannot be ignored, because it is also that of"):
        check(recipe, overrides=["dataset.ignore=1"])
    with pytest.raises(DataError, match=r"dataset\.ignore: the value 0 cannot be ignored, .* that of background"):
        check(recipe, overrides=["dataset.ignore=0"])


class NoMasks(Supervised):
    """A strategy that cannot leave out voxels."""

    supports_ignored = False


def test_a_strategy_that_cannot_leave_out_voxels_is_refused(recipe):
    asked = load_recipe(recipe, ["strategy={name: supervised}"]).with_component("strategy", NoMasks)
    with pytest.raises(RecipeError, match=r"cannot train on labels with ignored voxels \(value 9\)"):
        make_plan(asked)
    del recipe["dataset"]["ignore"]
    asked = load_recipe(recipe, ["strategy={name: supervised}"]).with_component("strategy", NoMasks)
    assert make_plan(asked)


def first_losses(recipe):
    """Return the supervised loss of a first step and the validation loss, by a network that sees single voxels."""
    plan = make_plan(load_recipe(recipe))
    store = fill_store(plan, Reporter())
    model = new_model(plan, Runtime("cpu", "32"))
    for network in model.strategy.networks.values():
        torch.manual_seed(0)
        network.forward = torch.nn.Conv3d(1, 2, 1).forward
    batches = training_batches(plan, store, Runtime("cpu", "32"))
    (batch,) = batches.steps(0, 1)
    (losses, *_) = model.strategy.losses(batches.finish(batch, 0), Step(0, 10, 10))
    validated = validator(plan, model, store, Runtime("cpu", "32"))(lambda: None, None)
    return losses.parts["supervised"].item(), validated.loss, *validated.dice


@pytest.mark.parametrize("where", ["workers", "device"])
def test_the_image_at_ignored_voxels_changes_no_loss_from_the_files_on(recipe, where):
    recipe["training"]["augmentation_on"] = where
    recipe["augmentation"] = {"name": "fused", "probability": 0.0, "probabilities": {"flipping": 0.5}}
    expected = first_losses(recipe)
    planes = np.arange(16)
    for ignored, changes in ((planes % 4 != 0, False), (planes % 4 == 0, True)):
        for path in files(recipe, "images"):
            image = np.asarray(made.nibabel.load(path).dataobj).astype(np.float32)
            image[ignored] = 2 * image[ignored].mean() - image[ignored]  # the same mean and standard deviation
            made.save(path, image)
        found = first_losses(recipe)
        assert (found == pytest.approx(expected, rel=1e-4)) == (not changes)


def test_ignored_voxels_are_read_as_such(recipe):
    dataset = make_plan(load_recipe(recipe)).components.dataset
    label = dataset.read_label(dataset.cases()[0]).array
    assert (label[1] == IGNORED).all()
    assert label[4, 4, 4] == 1
    assert (label[0] == 0).all()
