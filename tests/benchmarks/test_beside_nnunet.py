"""Test scores of semiseg and of nnU-Net after the same CPU time, from the same labeled cases.

Hippocampus, the same 50 test cases, 4, 8 and 140 labeled ones, 900 CPU seconds of one core for each training. Then
semiseg once more for as many samples as nnU-Net saw in that time. Scores by semiseg's harness; nnU-Net's own evaluation
must find the same Dice. Hours in all, so it is not run unless asked for:

    SEMISEG_NNUNET_BIN=/path/to/nnunet/bin SEMISEG_BESIDE=beside \\
        pytest tests/benchmarks/test_beside_nnunet.py -n 0 -s --timeout 0

SEMISEG_NNUNET_BIN is the folder of the commands of nnU-Net v2, in an environment of its own. SEMISEG_BESIDE keeps what
is finished, so that the same command goes on where it was stopped (the part that was being trained starts again);
processes with different ``-k`` may share it. The table is written there as table.md.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import semiseg
from semiseg.export.nnunet_predictions import export_predictions

HERE, SEMISEG = Path(__file__).parent, Path(sys.executable).with_name("semiseg")
BIN, KEPT = os.environ.get("SEMISEG_NNUNET_BIN"), os.environ.get("SEMISEG_BESIDE")
REAL = Path(os.environ.get("SEMISEG_REAL_DATA", "/nowhere"), "hippocampus")
SECONDS = float(os.environ.get("SEMISEG_BESIDE_SECONDS", "900"))
LABELED = (4, 8, 140)
ARMS = ("nnunet", "semiseg", "semiseg, same samples")
CLASSES = {1: "Anterior", 2: "Posterior"}
RECIPE = (
    "split.test=50",
    "split.validation=10",
    "strategy={name: supervised, loss: dice_ce}",
    "training.batch_size={labeled: 4, unlabeled: 0}",
    "training.examples_per_epoch=40",  # 10 steps
    "training.validation.every=1000000",
    "training.workers=0",
    "inference.mirror=true",
)
"""Changes to the recipe that ``semiseg init`` proposes: the split, labels alone, and prediction as nnU-Net's."""
PATCH = "training.patch_size=[32,48,32]"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_data,
    pytest.mark.timeout(0),
    pytest.mark.skipif(not (BIN and KEPT and REAL.exists()), reason="needs nnU-Net, SEMISEG_BESIDE and the real data"),
]


def home(labeled):
    """The folder of everything with this number of labeled cases."""
    folder = Path(KEPT).absolute() / str(labeled)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def command(labeled, *arguments):
    """Run a program on one thread, with nnU-Net's folders, its output in a log."""
    folders = {f"nnUNet_{name}": str(home(labeled) / name) for name in ("raw", "preprocessed", "results")}
    for folder in folders.values():
        Path(folder).mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables = {**kept, **folders, "SEMISEG_CACHE": str(home(labeled) / "cache"), "OMP_NUM_THREADS": "1"}
    with (home(labeled) / "log.txt").open("a") as log:
        subprocess.run([str(part) for part in arguments], env=variables, stdout=log, stderr=log, check=True)


def spent_by_children():
    times = os.times()
    return times.children_user + times.children_system


@cache
def proposal(labeled):
    """The recipe that ``semiseg init`` proposes."""
    path = home(labeled) / "recipe.yaml"
    if not path.exists():
        command(labeled, SEMISEG, "init", REAL, "-o", path)
    return path


def overrides(labeled):
    return (*RECIPE, PATCH, f"split.labeled={labeled}")


@cache
def dataset(labeled):
    """The raw dataset of nnU-Net with these labeled cases, planned and preprocessed."""
    done = home(labeled) / "nnunet_preparing.json"
    raw = home(labeled) / "raw"
    if not done.exists():
        shutil.rmtree(raw, ignore_errors=True)
        changes = [part for text in overrides(labeled) for part in ("--set", text)]
        command(labeled, SEMISEG, "export", "nnunet", proposal(labeled), *changes, "-o", raw)
        start = spent_by_children()
        arguments = ("-d", 501, "-c", "3d_fullres", "-np", 1, "-npfp", 1, "--verify_dataset_integrity")
        command(labeled, Path(BIN, "nnUNetv2_plan_and_preprocess"), *arguments)
        done.write_text(json.dumps({"preparing": spent_by_children() - start}))
    (found,) = raw.iterdir()
    return found


def nnunet(labeled):
    """Its result, and the folder of its predictions."""
    result, predictions = home(labeled) / "nnunet.json", home(labeled) / "nnunet"
    if not result.exists():
        arguments = (dataset(labeled).name, SECONDS, predictions, result)
        command(labeled, "env", "nnUNet_n_proc_DA=0", Path(BIN, "python"), HERE / "nnunet_arm.py", *arguments)
    preparing = json.loads((home(labeled) / "nnunet_preparing.json").read_text())
    return {**json.loads(result.read_text()), **preparing}, predictions


def ours(labeled, name, steps):
    """The result of a run of semiseg with a number of steps, and the folder of its predictions as nnU-Net has them."""
    result, run, predictions = (home(labeled) / f"{name}{end}" for end in (".json", "_run", ""))
    if not result.exists():
        shutil.rmtree(run, ignore_errors=True)
        changes = (*overrides(labeled), f"training.epochs={round(steps / 10)}")
        command(labeled, sys.executable, HERE / "semiseg_arm.py", proposal(labeled), run, result, *changes)
    if not predictions.exists():
        export_predictions(run, predictions, checkpoint="last")
    return {"batch": 4, "sample": sample(labeled), **json.loads(result.read_text())}, predictions


def arm(labeled, name):
    """The result and the predictions of one of ARMS."""
    if name == "nnunet":
        return nnunet(labeled)
    trial, _ = ours(labeled, "trial", 60)
    if name == "semiseg":
        found, predictions = ours(labeled, "semiseg", 0.95 * SECONDS / (trial["training"] / trial["steps"]))
    else:
        peer, _ = nnunet(labeled)
        found, predictions = ours(labeled, "same_samples", peer["steps"] * peer["batch"] / 4)
    return {**found, "preparing": trial["preparing"]}, predictions  # later runs find the prepared cases


def sample(labeled):
    """Seconds that semiseg takes to read and augment a sample."""
    result = home(labeled) / "bench.json"
    if not result.exists():
        changes = [part for text in overrides(labeled) for part in ("--set", text)]
        command(labeled, SEMISEG, "bench", proposal(labeled), *changes, "--steps", 2, "-o", result)
    stages = json.loads(result.read_text())["stages"]
    return stages["read"]["seconds"] + stages["augment"]["seconds"]


def scores(labeled, predictions):
    """Means by class: by semiseg's harness, {metric: {class: mean}}, and of Dice by nnU-Net's own evaluation."""
    references = dataset(labeled) / "labelsTs"
    theirs = predictions / "summary.json"
    if not theirs.exists():
        plans = home(labeled) / "preprocessed" / dataset(labeled).name / "nnUNetPlans.json"
        files = ("-djfile", dataset(labeled) / "dataset.json", "-pfile", plans, "-np", 1)
        command(labeled, Path(BIN, "nnUNetv2_evaluate_folder"), references, predictions, *files)
    mean = json.loads(theirs.read_text())["mean"]
    found = semiseg.evaluate(predictions, references, labels=CLASSES)
    assert len({score.case for score in found.scores}) == 50
    means = {
        metric: {name: values["mean"] for name, values in parts["classes"].items()}
        for metric, parts in found.summary["checkpoints"][""].items()
    }
    return means, {CLASSES[int(key)]: value["Dice"] for key, value in mean.items()}


@pytest.mark.parametrize("labeled", LABELED)
@pytest.mark.parametrize("name", ARMS)
def test_both_evaluations_find_the_same_dice(labeled, name):
    result, predictions = arm(labeled, name)
    if name == "semiseg":
        assert result["training"] <= SECONDS
    found, theirs = scores(labeled, predictions)
    assert found["dice"] == pytest.approx(theirs, abs=1e-12)


def test_the_table_is_written():
    rows = [row(labeled, name) for labeled in LABELED for name in ARMS]
    head = (
        "labeled",
        "",
        "CPU s",
        "steps x batch",
        "Dice",
        "HD95 mm",
        "preparing s",
        "a sample ms",
        "predicting s a case",
    )
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    (Path(KEPT) / "table.md").write_text("\n".join(lines) + "\n")
    print("", *lines, sep="\n")


def row(labeled, name):
    result, predictions = arm(labeled, name)
    found, _ = scores(labeled, predictions)
    dice, hd95 = (statistics.fmean(found[metric].values()) for metric in ("dice", "hd95"))
    return (
        str(labeled),
        name,
        f"{result['training']:.0f}",
        f"{result['steps']} x {result['batch']}",
        f"{dice:.3f}",
        f"{hd95:.2f}",
        f"{result['preparing']:.0f}",
        f"{1000 * result['sample']:.0f}",
        f"{result['predicting'] / 50:.2f}",
    )
