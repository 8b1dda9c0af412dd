"""nnU-Net's own commands on exported datasets and predictions, and a folder that it made; skipped without it.

The commands are those on the path or in the folder SEMISEG_NNUNET_BIN (nnU-Net needs an environment of its own).
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers_nnunet_plans import (
    DATASETS,
    LABELED,
    in_their_form,
    measures_of,
    nnunet_machine,
    plans_of,
    recipe_of,
    write_raw,
)
from small_run import SMALL

import semiseg
from semiseg.data.split import make_split
from semiseg.datasets.nnunet import NnUNet
from semiseg.export.nnunet_dataset import export_dataset
from semiseg.export.nnunet_predictions import export_predictions
from semiseg.init.recognize import recognize
from semiseg.planning.measures import measure_cases
from semiseg.planning.settle import settle
from semiseg.recipe.load import load_recipe

FOLDER = os.environ.get("SEMISEG_NNUNET_BIN")
WHERE = os.pathsep.join(filter(None, (FOLDER, os.environ.get("PATH", ""))))
pytestmark = [
    pytest.mark.skipif(shutil.which("nnUNetv2_plan_and_preprocess", path=WHERE) is None, reason="needs nnU-Net v2"),
    pytest.mark.timeout(1200),
]
REAL = Path(os.environ.get("SEMISEG_REAL_DATA", "/nowhere"))
OK = "verify_dataset_integrity Done."


def nnunet(tmp_path, command, *arguments):
    """The output of a command of nnU-Net, which must succeed."""
    variables = {f"nnUNet_{name}": str(tmp_path / name) for name in ("raw", "preprocessed", "results")}
    for folder in variables.values():
        Path(folder).mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    path = shutil.which(f"nnUNetv2_{command}", path=WHERE)
    done = subprocess.run(
        [path, *map(str, arguments)],
        env={**kept, **variables, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def verified(tmp_path, number):
    """Verify, plan and preprocess a dataset; return its preprocessed folder."""
    said = nnunet(
        tmp_path,
        "plan_and_preprocess",
        "-d",
        number,
        "--verify_dataset_integrity",
        "-c",
        "3d_fullres",
        "-np",
        1,
        "-npfp",
        1,
    )
    assert OK in said
    assert "Error" not in said
    (folder,) = (tmp_path / "preprocessed").iterdir()
    return folder


def recipe(dataset, split, outputs="classes"):
    return load_recipe(
        {**SMALL, "dataset": dataset, "split": split, "training": {**SMALL["training"], "outputs": outputs}}
    )


@pytest.mark.parametrize("outputs", ["classes", "regions"])
def test_a_dataset_is_accepted_and_keeps_its_folds(tmp_path, outputs):
    dataset = {"name": "phantom", "cases": 5, "size": [32, 32, 32]}
    split = {"test": 1, "validation": 1, "labeled": 2}
    home = export_dataset(recipe(dataset, split, outputs), tmp_path / "raw")
    folder = verified(tmp_path, 501)
    assert (folder / "splits_final.json").read_text() == (home / "splits_final.json").read_text()


def test_predictions_are_scored_alike(tmp_path):
    """The mean Dice of nnU-Net is that of scores.csv."""
    wanted = {**SMALL, "training": {**SMALL["training"], "outputs": "regions"}}
    semiseg.run(wanted, output=tmp_path / "run")
    home = export_dataset(load_recipe(wanted), tmp_path / "raw")
    folder = export_predictions(tmp_path / "run", tmp_path / "predicted", checkpoint="last")
    files = ("-djfile", folder / "dataset.json", "-pfile", folder / "plans.json")
    nnunet(tmp_path, "evaluate_folder", home / "labelsTs", folder, *files, "-np", 1)
    theirs = json.loads((folder / "summary.json").read_text())["mean"]
    ours = json.loads((tmp_path / "run" / "summary.json").read_text())["scores"]["checkpoints"]["last"]["dice"][
        "regions"
    ]
    named = {"(1, 2, 3)": "whole tumor", "(1, 3)": "tumor core", "(3,)": "enhancing tumor"}
    assert {named[key]: scores["Dice"] for key, scores in theirs.items()} == pytest.approx(
        {region: scores["mean"] for region, scores in ours.items()}
    )


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.exists(), reason="SEMISEG_REAL_DATA is not set")
@pytest.mark.parametrize(
    ("block", "split", "outputs"),
    [
        (
            {"name": "decathlon", "root": "hippocampus"},
            {"test": 3, "validation": 3, "labeled": 14, "total": 16},
            "classes",
        ),
        ({"name": "acdc", "root": "acdc"}, {"test": 2, "validation": 2, "labeled": 4, "total": 4}, "classes"),
        ({"name": "brats", "root": "brats2018"}, {"test": 4, "validation": 1, "labeled": 2, "total": 3}, "regions"),
    ],
)
def test_real_volumes_are_accepted(tmp_path, block, split, outputs):
    export_dataset(recipe({**block, "root": str(REAL / block["root"])}, split, outputs), tmp_path / "raw", link=True)
    verified(tmp_path, 501)


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.exists(), reason="SEMISEG_REAL_DATA is not set")
def test_a_folder_that_nnunet_made_is_read(tmp_path):
    source = tmp_path / "Task04_Hippocampus"
    listed = json.loads((REAL / "hippocampus" / "dataset.json").read_text())
    listed["training"] = listed["training"][:6]
    for key, folder in (("image", "imagesTr"), ("label", "labelsTr")):
        (source / folder).mkdir(parents=True)
        for case in listed["training"]:
            shutil.copy(REAL / "hippocampus" / case[key], source / folder)
    (source / "imagesTs").mkdir()
    (source / "dataset.json").write_text(json.dumps(listed))
    nnunet(tmp_path, "convert_MSD_dataset", "-i", source, "-np", 1)
    root = tmp_path / "raw" / "Dataset004_Hippocampus"
    block = recognize(root)
    assert block == {"name": "nnunet", "root": str(root)}
    dataset = NnUNet(NnUNet.Options(root=root))
    assert dataset.info().classes == ("background", "Anterior", "Posterior")
    found = [(case.id, dataset.read_label(case).array.max()) for case in dataset.cases()]
    assert found == [(Path(case["image"]).name.removesuffix(".nii.gz"), 2) for case in listed["training"]]


@pytest.mark.parametrize("name", DATASETS)
def test_kept_plans_are_nnunets(tmp_path, name):
    """tests/unit/planning/nnunet_plans.json, with which the planner is compared where nnU-Net is not installed."""
    root = write_raw(tmp_path / "raw", 501, name)
    nnunet(tmp_path, "plan_and_preprocess", "-d", 501, "--no_pp", "-npfp", 1)
    assert plans_of(tmp_path / "preprocessed" / root.name) == DATASETS[name]["plans"]
    dataset = NnUNet(NnUNet.Options(root=root))
    measured = measure_cases(dataset, dataset.cases(), tmp_path / "store")
    assert [(case.spacing, case.box) for case in measured] == [
        (pytest.approx(case.spacing, rel=1e-6), case.box) for case in measures_of(name)
    ]


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.exists(), reason="SEMISEG_REAL_DATA is not set")
@pytest.mark.parametrize(
    "block", [{"name": "decathlon", "root": "hippocampus"}, {"name": "brats", "root": "brats2018"}]
)
def test_plans_of_real_volumes_are_nnunets(tmp_path, block):
    """With nnU-Net's estimate of memory, from the same files: voxel size, patch, batch, strides and kernels."""
    cases = {"labeled": "all", "test": 0, "validation": 1}
    described = recipe({**block, "root": str(REAL / block["root"])}, cases)
    export_dataset(described, tmp_path / "raw", link=True)
    nnunet(tmp_path, "plan_and_preprocess", "-d", 501, "--no_pp", "-npfp", 1)
    (folder,) = (tmp_path / "preprocessed").iterdir()
    (root,) = (tmp_path / "raw").iterdir()
    dataset = NnUNet(NnUNet.Options(root=root))
    split = make_split(dataset.cases(), described.split.model_copy(update={"validation": 0}), 0)
    machine = nnunet_machine(len(dataset.info().classes) - 1)
    for configuration, theirs in plans_of(folder).items():
        settled = settle(recipe_of(configuration, crop=True), dataset, split, tmp_path / "store", machine, LABELED)
        measured = measure_cases(dataset, split.labeled, tmp_path / "store")
        most = min(theirs["batch"], 64)  # small slices of many cases: nnU-Net has 281 of them
        assert in_their_form(settled.values, measured) == {**theirs, "batch": most}
