"""From a raw folder of nnU-Net to a recipe, a run, and its predictions in nnU-Net's form; and the command line."""

import json

import helpers_nnunet as nnunet
import nibabel
import numpy as np
import pytest
from small_run import SMALL
from typer.testing import CliRunner

import semiseg
from semiseg.cli.main import app
from semiseg.errors import ArgumentError, DataError, RunError, StorageError
from semiseg.export.nnunet_dataset import export_dataset
from semiseg.export.nnunet_predictions import export_predictions
from semiseg.init.propose import propose_recipe
from semiseg.recipe.load import load_recipe

REGIONS = ["whole tumor", "tumor core", "enhancing tumor"]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """The phantom's heads, exported with regions as labels."""
    folder = tmp_path_factory.mktemp("raw")
    split = {"test": 1, "validation": 1, "labeled": 3, "total": 4}
    recipe = load_recipe({**SMALL, "split": split, "training": {**SMALL["training"], "outputs": "regions"}})
    return export_dataset(recipe, folder, number=9, name="Heads")


@pytest.fixture(scope="module")
def finished(raw, tmp_path_factory):
    """A run on the recipe that init proposes for the raw folder."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "recipe.yaml").write_text(propose_recipe(raw, gpu=False).text)
    small = SMALL["backbone"]
    changes = ["training.epochs=1", "training.examples_per_epoch=4", "training.patch_size=[16,16,16]"]
    changes += [f"backbone={json.dumps(small)}", "split.test=1", "split.validation=1", "split.labeled=2"]
    recipe = load_recipe(folder / "recipe.yaml", changes)
    assert semiseg.check(recipe)[-1] == "No problems found."
    semiseg.run(recipe, output=folder / "run")
    return folder / "run"


def test_the_proposed_recipe_trains_on_the_regions_of_the_raw_folder(finished):
    record = json.loads((finished / "model.json").read_text())
    assert [name for name, _ in record["regions"]] == REGIONS
    assert record["classes"] == ["background", "necrosis", "edema", "enhancing"]
    assert record["class_values"] == [0, 1, 2, 3]


def test_predictions_have_the_values_of_the_exported_labels(finished, tmp_path):
    folder = export_predictions(finished, tmp_path / "out")
    (path,) = folder.glob("*.nii.gz")
    own = nibabel.load(finished / "predictions" / "best" / path.name)
    np.testing.assert_array_equal(np.asarray(nibabel.load(path).dataobj), np.asarray(own.dataobj))
    manifest = json.loads((folder / "dataset.json").read_text())
    assert manifest["labels"]["tumor core"] == [1, 3]
    assert manifest["regions_class_order"] == [2, 1, 3]
    with pytest.raises(StorageError, match="is not empty"):
        export_predictions(finished, folder)
    with pytest.raises(RunError, match="There is no checkpoint 'first'"):
        export_predictions(finished, tmp_path / "x", checkpoint="first")


def test_predictions_of_new_images_are_exported_by_their_record(finished, raw, tmp_path):
    found = semiseg.predict(finished, raw / "imagesTs", tmp_path / "new")
    folder = export_predictions(tmp_path / "new", tmp_path / "out")
    assert [path.name for path in folder.glob("*.nii.gz")] == [path.name for path in found]
    record = json.loads((tmp_path / "new" / "predictions.json").read_text())
    (tmp_path / "new" / "predictions.json").write_text(json.dumps({**record, "run": "/nowhere"}))
    with pytest.raises(RunError, match="the predictions are by /nowhere, which is not there"):
        export_predictions(tmp_path / "new", tmp_path / "again")
    (tmp_path / "new" / "predictions.json").write_text(json.dumps(record))
    found[0].write_bytes(found[0].read_bytes()[:60])
    with pytest.raises(DataError, match=found[0].name):
        export_predictions(tmp_path / "new", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_stored_values_of_predictions_are_changed_to_consecutive_ones(tmp_path):
    """The phantom's label 4, enhancing, is nnU-Net's 3."""
    run_folder = tmp_path / "run"
    semiseg.run({**SMALL, "training": {**SMALL["training"], "epochs": 1}}, output=run_folder)
    (path,) = (run_folder / "predictions" / "last").glob("*.nii.gz")
    image = nibabel.load(path)
    values = np.resize(np.array([0, 1, 2, 4], np.uint8), image.shape)
    nibabel.save(nibabel.Nifti1Image(values, image.affine), path)
    folder = export_predictions(run_folder, tmp_path / "out", checkpoint="last")
    stored = np.asarray(nibabel.load(folder / path.name).dataobj)
    np.testing.assert_array_equal(stored, np.where(values == 4, 3, values))


def test_the_commands(tmp_path, finished):
    root = nnunet.write_nnunet(tmp_path / "Dataset003_Small", labeled=5)
    refused = run("export", "nnunet", root, "-o", tmp_path / "out1")
    assert "is neither a run folder nor an output folder of `semiseg predict`" in str(refused.exception)
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps({**SMALL, "dataset": {"name": "phantom", "cases": 5, "size": [32, 32, 32]}}))
    changes = ("--set", "split.total=3")
    done = run("export", "nnunet", path, "-o", tmp_path / "raw", "--id", "12", "--name", "A", *changes)
    assert done.exit_code == 0, done.output
    home = tmp_path / "raw" / "Dataset012_A"
    assert f"Wrote {home}. Check it with nnU-Net:\n  nnUNet_raw={home.parent} nnUNetv2_plan_and_preprocess -d 12 " in (
        done.stdout
    )
    done = run("export", "nnunet", finished, "-o", tmp_path / "out", "-q")
    assert done.exit_code == 0
    assert f"nnUNetv2_evaluate_folder LABELS {tmp_path}/out -djfile {tmp_path}/out/dataset.json" in done.stdout
    refused = run("export", "nnunet", finished, "-o", tmp_path / "out2", "--link", "--id", "3")
    assert isinstance(refused.exception, ArgumentError)
    assert "--id, --link: of no use with predictions" in str(refused.exception)
    refused = run("export", "nnunet", path, "-o", tmp_path / "out3", "--checkpoint", "best")
    assert "--checkpoint: of no use with a recipe" in str(refused.exception)
