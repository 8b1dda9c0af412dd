"""One model, two grids: BraTS cases with slices of 1 mm, and the same averaged to 5 mm, from ``init`` to predictions.

The folder that ``semiseg init`` is given has both. The run trains for 400 steps; then its test cases are predicted on
both grids. Run with ``pytest tests/benchmarks/test_two_grids.py --benchmark-enable -s``: it takes about 20 minutes of a
core, and prints the Dice of the whole tumor and of each class. The Dice of the whole tumor is asserted.
"""

import json
import os
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from helpers_processes import run as semiseg

ROOT = Path(os.environ.get("SEMISEG_REAL_DATA", "/nonexistent")) / "brats2018"
THICK = 5
"""Slices of 1 mm that are averaged to one."""
VALUES = (0, 1, 2, 4)
NAMES = ("whole tumor", "necrosis", "edema", "enhancing")
OPTIONS = ("split.labeled=all", "strategy.name=supervised", "strategy.loss=dice_ce", "training.epochs=8")


def save_thick(case, folder):
    """Write the means of five slices each, and of the label the value that most of the five have."""
    (folder / case.name).mkdir(parents=True)
    for path in case.iterdir():
        image = nibabel.load(path)
        array = np.asarray(image.dataobj)
        slices = array.reshape(*array.shape[:2], -1, THICK)
        if path.name.endswith("_seg.nii.gz"):
            counts = np.stack([(slices == value).sum(axis=-1) for value in VALUES])
            found = np.array(VALUES, array.dtype)[counts.argmax(axis=0)]
        else:
            found = np.rint(slices.mean(axis=-1)).astype(array.dtype)
        affine = image.affine.copy()
        affine[:3, 3] += affine[:3, 2] * (THICK - 1) / 2  # the center of the first slice
        affine[:3, 2] *= THICK
        nibabel.save(nibabel.Nifti1Image(found, affine), folder / case.name / path.name)


def overlap(one, two):
    return 2 * (one & two).sum() / (one.sum() + two.sum())


def scores(predictions, cases):
    """Mean Dice of some cases, of the whole tumor and of each class; predictions must have their images' grids."""
    found = []
    for case in cases:
        label, image = (nibabel.load(case / f"{case.name}_{end}.nii.gz") for end in ("seg", "flair"))
        prediction = nibabel.load(predictions / f"{case.name}.nii.gz")
        assert prediction.shape == image.shape
        np.testing.assert_allclose(prediction.affine, image.affine, atol=1e-4)
        true, given = np.asarray(label.dataobj), np.asarray(prediction.dataobj)
        found.append([overlap(true > 0, given > 0), *(overlap(true == value, given == value) for value in VALUES[1:])])
    return dict(zip(NAMES, np.mean(found, axis=0), strict=True))


@pytest.mark.real_data
@pytest.mark.timeout(3 * 3600)
@pytest.mark.skipif(not ROOT.exists(), reason="SEMISEG_REAL_DATA is not set")
def test_a_model_predicts_thick_slices_as_well_as_thin_ones(request, tmp_path, capsys):
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("it trains for 20 minutes")
    cases = sorted(ROOT.iterdir())
    mixed, thick = tmp_path / "mixed", tmp_path / "thick"
    for number, case in enumerate(cases):
        save_thick(case, thick)
        shutil.copytree(thick / case.name if number % 3 == 1 else case, mixed / case.name)
    recipe, run = tmp_path / "recipe.yaml", tmp_path / "run"
    environment = {"SEMISEG_CACHE": str(tmp_path / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    said = semiseg("init", mixed, "-o", recipe, **environment).stdout
    assert "images are resampled to 1 x 1 x 1 mm" in said
    semiseg("run", recipe, "-o", run, *(word for option in OPTIONS for word in ("--set", option)), **environment)
    tested = [case["id"] for case in json.loads((run / "split.json").read_text())["test"]]
    found = {}
    for name, root in (("1 x 1 x 1 mm", ROOT), ("1 x 1 x 5 mm", thick)):
        new, out = tmp_path / "new" / name, tmp_path / "predicted" / name
        for case in tested:
            shutil.copytree(root / case, new / case, ignore=shutil.ignore_patterns("*_seg.nii.gz"))
        semiseg("predict", run, "-i", new, "-o", out, **environment)
        found[name] = scores(out, [root / case for case in tested])
    with capsys.disabled():
        print(f"\nDice of {len(tested)} test cases, {', '.join(tested)}:")
        for name, dice in found.items():
            print(f"{name}: " + ", ".join(f"{part} {value:.3f}" for part, value in dice.items()))
    thin, coarse = (dice["whole tumor"] for dice in found.values())
    assert thin > 0.6  # it has learned something
    assert abs(thin - coarse) <= 0.05
