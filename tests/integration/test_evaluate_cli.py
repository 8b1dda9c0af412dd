"""``semiseg evaluate`` as a newcomer types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from semiseg.cli.evaluate import evaluate
from semiseg.errors import DataError
from semiseg.scoring.table import read_scores

SHAPE = (12, 10, 8)
HEAVY = ("torch", "monai", "torchio", "lightning_fabric", "h5py")


@pytest.fixture
def app():
    app = typer.Typer()
    app.command()(evaluate)
    return app


@pytest.fixture
def folders(tmp_path):
    """Eight cases, of which one is missed, one is spurious in a class, one has no prediction and one no truth."""
    cases = {f"case_{i}": np.zeros(SHAPE, dtype=np.uint8) for i in range(8)}
    for name, truth in cases.items():
        truth[2:8, 2:8, 2:7] = 2
        truth[4:6, 4:6, 3:5] = 1
        save(tmp_path / "truth" / f"{name}.nii.gz", truth)
        truth[:, :, int(name[-1]) // 2] = 0
        save(tmp_path / "predicted" / f"{name}.nii.gz", truth)
    save(tmp_path / "predicted" / "case_6.nii.gz", np.zeros(SHAPE, dtype=np.uint8))
    (tmp_path / "predicted" / "case_7.nii.gz").unlink()
    (tmp_path / "truth" / "case_0.nii.gz").unlink()
    return tmp_path


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)


def run(app, *arguments):
    # COLUMNS: rich makes its tables that wide.
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "140"}, catch_exceptions=False)


def test_table_worst_cases_and_files_without_counterpart(app, folders):
    result = run(app, folders / "predicted", folders / "truth", "--labels", "1=necrosis,2=edema", "-o", folders / "out")
    assert result.exit_code == 0
    for text in ("necrosis", "edema", "dice", "hd95, mm", "all classes", "Worst cases", "case_6"):
        assert text in result.stdout
    assert f"No reference for {folders / 'predicted' / 'case_0.nii.gz'}" in result.stdout
    assert f"No prediction for {folders / 'truth' / 'case_7.nii.gz'}" in result.stdout
    rows = (folders / "out" / "scores.csv").read_text().splitlines()
    assert len(rows) == 1 + 6 * 2 * 2
    summary = json.loads((folders / "out" / "summary.json").read_text())
    edema = summary["checkpoints"][""]["hd95"]["classes"]["edema"]
    assert (edema["n"], edema["missed"]) == (6, 1)


def test_the_numbers_in_the_table_are_those_of_the_summary(app, folders):
    result = run(app, folders / "predicted", folders / "truth", "-o", folders / "out")
    part = json.loads((folders / "out" / "summary.json").read_text())["checkpoints"][""]["dice"]["classes"]["2"]
    assert f"{part['mean']:.3f} ± {part['std']:.3f}" in result.stdout
    assert "{:.3f}–{:.3f}".format(*part["interval"]) in result.stdout
    assert f"{part['median']:.3f} ({part['q1']:.3f}–{part['q3']:.3f})" in result.stdout


def test_another_policy(app, folders):
    run(app, folders / "predicted", folders / "truth", "--policy", "exclude", "-o", folders / "out")
    edema = json.loads((folders / "out" / "summary.json").read_text())["checkpoints"][""]["hd95"]["classes"]["2"]
    assert (edema["n"], edema["excluded"], edema["missed"]) == (5, 1, 1)


def test_without_output_nothing_is_written(app, folders):
    before = sorted(folders.rglob("*"))
    assert run(app, folders / "predicted", folders / "truth").exit_code == 0
    assert sorted(folders.rglob("*")) == before


def test_names_that_look_like_markup_are_shown_as_they_are(app, tmp_path):
    save(tmp_path / "a" / "x[bold].nii.gz", np.ones(SHAPE, dtype=np.uint8))
    result = run(app, tmp_path / "a", tmp_path / "a", "--labels", "1=[red]core")
    assert "x[bold]" in result.stdout
    assert "[red]core" in result.stdout


def test_a_value_of_the_references_is_ignored(app, folders):
    for name in ("case_1", "case_2"):
        path = folders / "truth" / f"{name}.nii.gz"
        truth = np.asarray(nibabel.load(path).dataobj).copy()
        truth[:, :, int(name[-1]) // 2] = 255  # where the prediction differs
        save(path, truth)
    with pytest.raises(DataError, match="label 255 has no class"):
        run(app, folders / "predicted", folders / "truth", "--labels", "1=core,2=edema")
    labels = ("--labels", "1=core,2=edema,255=ignore")
    result = run(app, folders / "predicted", folders / "truth", *labels, "-o", folders / "out")
    assert "240 voxels of 2 cases are ignored." in " ".join(result.stdout.split())
    scores = {(s.case, s.class_name, s.metric): s for s in read_scores(folders / "out" / "scores.csv")}
    for name, n_ignored in (("case_1", 120), ("case_2", 120), ("case_3", 0)):
        assert scores[name, "edema", "dice"].n_ignored == n_ignored
        assert scores[name, "core", "dice"].value == 1
    save(folders / "predicted" / "case_3.nii.gz", np.full(SHAPE, 255, np.uint8))
    with pytest.raises(DataError, match="case case_3, prediction: 960 voxels have the ignored value where"):
        run(app, folders / "predicted", folders / "truth", *labels)


def test_errors_are_semiseg_errors(app, folders):
    with pytest.raises(DataError, match="'edema' is not VALUE=NAME"):
        run(app, folders / "predicted", folders / "truth", "--labels", "1=necrosis,edema")
    with pytest.raises(DataError, match="folder not found"):
        run(app, folders / "nowhere", folders / "truth")


def python(code, *arguments):
    environment = os.environ | {"COLUMNS": "140"}
    command = [sys.executable, "-W", "error::ImportWarning", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


def test_evaluation_imports_no_torch(folders):
    code = f"""
import sys, typer
from semiseg.cli.evaluate import evaluate
app = typer.Typer()
app.command()(evaluate)
app(standalone_mode=False)
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert not loaded, loaded
assert "scipy" in sys.modules
"""
    result = python(code, folders / "predicted", folders / "truth")
    assert result.returncode == 0, result.stderr
    assert "edema" not in result.stdout
    assert "dice" in result.stdout


def test_help_imports_nothing_heavy():
    code = f"""
import sys, typer
from semiseg.cli.evaluate import evaluate
app = typer.Typer()
app.command()(evaluate)
try:
    app(["--help"])
except SystemExit:
    pass
loaded = [name for name in {(*HEAVY, "numpy", "scipy", "nibabel")!r} if name in sys.modules]
assert not loaded, loaded
"""
    result = python(code)
    assert result.returncode == 0, result.stderr
    assert "--labels" in result.stdout


@pytest.mark.real_data
def test_real_cases_against_perturbed_copies_of_themselves(app, tmp_path):
    root = os.environ.get("SEMISEG_REAL_DATA")
    if not root:
        pytest.skip("SEMISEG_REAL_DATA is not set")
    truths = sorted(Path(root).glob("brats2018/*/*_seg.nii.gz"))[:3]
    for path in truths:
        image = nibabel.load(path)
        moved = np.roll(np.asarray(image.dataobj), 2, axis=0)
        moved[moved == 4] = 3
        nibabel.save(nibabel.Nifti1Image(moved, image.affine), tmp_path / path.name.replace("_seg", ""))
    labels = "1=necrosis,2=edema,3=enhancing,4=enhancing"
    result = run(app, tmp_path, Path(root) / "brats2018", "--labels", labels, "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stdout.count("No prediction for") == 5
    hd95 = json.loads((tmp_path / "out" / "summary.json").read_text())["checkpoints"][""]["hd95"]["classes"]
    assert list(hd95) == ["necrosis", "edema", "enhancing"]
    assert all(0 < part["mean"] <= 2 and part["n"] == 3 for part in hd95.values())


def test_of_many_files_without_a_counterpart_the_first_are_named(app, tmp_path):
    for name, count in (("predictions", 1), ("references", 14)):
        (tmp_path / name).mkdir()
        for number in range(count):
            label = nibabel.Nifti1Image(np.ones((3, 3, 3), np.uint8), np.eye(4))
            nibabel.save(label, tmp_path / name / f"case_{number:02d}.nii.gz")
    result = run(app, tmp_path / "predictions", tmp_path / "references", "--labels", "1=a")
    assert result.exit_code == 0
    assert result.stdout.count("No prediction for") == 11
    assert "No prediction for 3 more: not scored." in result.stdout


def test_the_installed_command_shows_errors_without_a_traceback(folders):
    command = [sys.executable, "-m", "semiseg.cli.main", "evaluate", str(folders / "nowhere"), str(folders / "truth")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == DataError.exit_code
    assert result.stderr == f"Error: {folders / 'nowhere'}: folder not found\n"


def test_regions_metrics_with_options_and_a_preset(app, folders):
    both = folders / "predicted", folders / "truth"
    labels = ("--labels", "1=necrosis,2=edema,3=enhancing")
    chosen = ("--metric", "nsd:tolerance=2", "--metric", "jaccard")
    result = run(app, *both, *labels, "--regions", "tumor core=necrosis+enhancing", *chosen, "-o", folders / "out")
    assert result.exit_code == 0
    for text in ("tumor core", "all regions", "nsd tolerance=2.0", "jaccard"):
        assert text in result.stdout
    assert "hd95" not in result.stdout
    result = run(app, *both, "--preset", "brats2023", "-o", folders / "preset")
    assert "follow brats2023" in result.stdout
    summary = json.loads((folders / "preset" / "summary.json").read_text())
    assert set(summary["checkpoints"][""]["hd95"]["regions"]) == {"whole tumor", "tumor core", "enhancing tumor"}
    assert summary["checkpoints"][""]["hd95"]["regions"]["whole tumor"]["missed"] == 1
    assert summary["checkpoints"][""]["hd95"]["worst"][0] == {
        "case": "case_6",
        "value": pytest.approx(2 * 374 / 3),
    }  # one class is in neither
