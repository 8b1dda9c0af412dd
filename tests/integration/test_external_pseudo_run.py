"""Training on another model's label maps: from files to scores, killed and resumed, in 2D, on the device."""

import csv
import json
import shutil

import helpers_pictures as pictures
import helpers_pseudo as pseudo
import helpers_volumes as made
import numpy as np
import pytest
from helpers_processes import run as semiseg
from ruamel.yaml import YAML
from test_kill_and_resume import result, start, steps_done, wait_for

from semiseg import run
from semiseg.data.digests import digest_file
from semiseg.errors import RunError
from semiseg.init.propose import propose_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A dataset with pseudo-labels and their confidence, and a recipe that uses both."""
    home = tmp_path_factory.mktemp("external")
    pseudo.write_dataset(home / "data")
    pseudo.write_pseudo(home / "predicted", confidence=True)
    recipe = pseudo.recipe_of(home / "data", home / "predicted", pseudo_confidence=0.3)
    with (home / "recipe.yaml").open("w") as file:
        YAML(typ="safe").dump(recipe, file)
    return home


@pytest.fixture(scope="module")
def whole(home):
    semiseg("run", home / "recipe.yaml", "-o", home / "whole")
    return home / "whole"


def test_it_trains_on_them_from_the_first_step_and_records_what_they_were(home, whole):
    log = [json.loads(line)["train"] for line in (whole / "log.jsonl").read_text().splitlines()]
    assert all(record["pseudo"] > 0 for record in log)
    record = json.loads((whole / "pseudo_label_files.json").read_text())
    folder = home / "predicted"
    assert record["folder"] == str(folder)
    assert record["confidence"] == 0.3
    assert record["sha256"] == {
        name: [digest_file(folder / f"{name}{end}.nii.gz") for end in ("", "_confidence")] for name in pseudo.UNLABELED
    }
    assert not (whole / "pseudo_labels").exists()
    assert "from the files of another model" in (whole / "report.html").read_text()


def test_killed_and_resumed_with_workers_it_ends_alike(home, whole, tmp_path):
    folder = tmp_path / "run"
    for after, workers in ((2, 0), (7, 2)):
        process = start(home / "recipe.yaml", folder, "--set", f"training.workers={workers}")
        wait_for(process, lambda after=after: steps_done(folder) >= after)
        process.kill()
        process.communicate()
    semiseg("run", home / "recipe.yaml", "-o", folder, "--resume", "--set", "training.workers=2")
    assert result(folder) == result(whole)
    assert (folder / "pseudo_label_files.json").read_text() == (whole / "pseudo_label_files.json").read_text()


def test_a_resumed_run_refuses_changed_files(home, tmp_path):
    shutil.copytree(home / "predicted", tmp_path / "predicted")
    changes = [f"dataset.pseudo_labels={tmp_path / 'predicted'}", "training.epochs=1"]
    run(home / "recipe.yaml", tmp_path / "run", overrides=changes)
    (tmp_path / "run" / "summary.json").unlink()  # as if it had not ended
    made.save(tmp_path / "predicted" / "f_confidence.nii.gz", pseudo.sure_of(9))
    with pytest.raises(RunError, match="pseudo-labels have changed since this run began: f"):
        run(home / "recipe.yaml", tmp_path / "run", overrides=changes, resume=True)
    more = [changes[0], "training.epochs=2"]
    with pytest.raises(RunError, match="pseudo-labels have changed since this run began: f"):
        run(home / "recipe.yaml", tmp_path / "run", overrides=more, resume=True)
    shutil.copy(home / "predicted" / "f_confidence.nii.gz", tmp_path / "predicted")
    run(home / "recipe.yaml", tmp_path / "run", overrides=more, resume=True)
    assert (tmp_path / "run" / "until-epoch-1" / "pseudo_label_files.json").exists()


@pytest.mark.parametrize(
    "changes",
    [
        ["training.augmentation_on=device"],
        ["training.patch_size=[8,8]", "training.workers=2"],
        ["preprocessing.spacing=[1.5,1.5,1.5]", "training.foreground_share=0.5", "strategy.pseudo_loss=dice_ce"],
        ["training.outputs=regions", "evaluation.regions={all: [x, y], inner: [y]}"],
    ],
    ids=["device", "2d", "resampled", "regions"],
)
def test_it_works_with_everything_else(home, tmp_path, changes):
    found = run(home / "recipe.yaml", tmp_path / "run", overrides=["training.epochs=1", *changes])
    (record,) = [json.loads(line)["train"] for line in (found.folder / "log.jsonl").read_text().splitlines()]
    assert np.isfinite(record["loss"])
    assert record["pseudo"] > 0


def test_predictions_of_a_run_are_pseudo_labels_of_the_next(home, whole, tmp_path):
    """``semiseg predict`` writes the files that ``dataset.pseudo_labels`` reads, with their confidence."""
    out = tmp_path / "predicted"
    semiseg("predict", whole, "-i", home / "data/unlabeled/images", "-o", out, "--probabilities", "confidence")
    found = run(home / "recipe.yaml", tmp_path / "run", overrides=[f"dataset.pseudo_labels={out}", "training.epochs=1"])
    digests = json.loads((found.folder / "pseudo_label_files.json").read_text())["sha256"]
    assert digests == {
        name: [digest_file(out / f"{name}{end}.nii.gz") for end in ("", "_confidence")] for name in "efg"
    }


def test_an_ensemble_labels_and_only_cases_that_its_members_agree_on_are_trained_on(home, whole, tmp_path):
    run(home / "recipe.yaml", tmp_path / "second", overrides=["seed=2", "training.epochs=1"])
    images, members = home / "data/unlabeled/images", {"one": whole, "two": tmp_path / "second"}
    for name, member in members.items():
        semiseg("predict", member, "-i", images, "-o", tmp_path / name)
    semiseg("predict", *members.values(), "-i", images, "-o", tmp_path / "both", "--probabilities", "confidence")
    beside = [argument for name in members for argument in ("--beside", tmp_path / name)]
    semiseg("select", tmp_path / "both", *beside, "--share", "0.5", "-o", tmp_path / "chosen")
    changes = [f"dataset.pseudo_labels={tmp_path / 'chosen'}", "training.epochs=1"]
    found = run(home / "recipe.yaml", tmp_path / "student", overrides=changes)
    used = json.loads((found.folder / "pseudo_label_files.json").read_text())["sha256"]
    rows = list(csv.DictReader((tmp_path / "chosen/selection.csv").read_text().splitlines()))
    assert {row["case"] for row in rows} == set("efg")
    assert set(used) == {row["case"] for row in rows if row["chosen"] == "yes"}
    assert len(used) == 2


def test_masks_of_photographs(tmp_path):
    pictures.write_pictures(tmp_path / "photos")
    for number in (5, 6):
        pictures.save(tmp_path / "masks" / f"p_{number:02d}.png", pictures.disk(number)[1])
    (tmp_path / "recipe.yaml").write_text(propose_recipe(tmp_path / "photos", gpu=False).text)
    changes = [
        f"dataset.pseudo_labels={tmp_path / 'masks'}",
        "strategy={name: self_training, teacher: external}",
        "backbone={name: unet, channels: [4, 8], strides: [2]}",
        "training.batch_size={labeled: 1, unlabeled: 1}",
        "training.epochs=1",
        "training.examples_per_epoch=8",
        "training.workers=0",
    ]
    found = run(tmp_path / "recipe.yaml", tmp_path / "run", overrides=changes)
    (record,) = [json.loads(line)["train"] for line in (found.folder / "log.jsonl").read_text().splitlines()]
    assert record["pseudo"] > 0
