"""Real volumes as NIfTI, as NRRD and MetaImage, and as DICOM with segmentations of 3D Slicer: the same from init on."""

import csv
import os
from pathlib import Path

import helpers_dicom as dicom
import helpers_slicer as slicer
import nibabel
import numpy as np
import pytest

import semiseg
from semiseg.init.propose import propose_recipe
from semiseg.scoring.evaluate import evaluate

SMALL = (
    "backbone.channels=[4,8]",
    "backbone.strides=[2]",
    "training.epochs=1",
    "training.examples_per_epoch=8",
    "training.patch_size=[16,16,16]",
    "training.workers=0",
    "inference.overlap=0.0",
    "split.test=2",
    "split.validation=1",
)
SPACING, ORIGIN = (1.0, 1.0, 1.25), np.array([-12.5, 7.25, 31.0])
NAMES = {1: "anterior", 2: "posterior"}
DATA = os.environ.get("SEMISEG_REAL_DATA")
pytestmark = [pytest.mark.real_data, pytest.mark.skipif(not DATA, reason="SEMISEG_REAL_DATA is not set")]


def cases():
    """Six volumes with int16 voxels; two of them count as unlabeled."""
    root = Path(DATA) / "hippocampus"
    for number, path in enumerate(sorted((root / "labelsTr").glob("[a-z]*.nii.gz"))[:6]):
        image = np.asanyarray(nibabel.load(root / "imagesTr" / path.name).dataobj).astype(np.float64)
        label = np.asanyarray(nibabel.load(path).dataobj).astype(np.uint8)
        yield path.name.removesuffix(".nii.gz"), (image * 1000 / image.max()).astype(np.int16), label, number < 4


def write_nifti(root, case, image, label, affine):
    slicer.save(root / "images" / f"{case}.nii.gz", image, affine)
    if label is not None:
        slicer.save(root / "labels" / f"{case}.nii.gz", label, affine)


def write_nrrd(root, case, image, label, affine):
    slicer.save(root / "images" / f"{case}.nrrd", image, affine)
    if label is not None:
        slicer.save(root / "labels" / f"{case}.mha", label, affine)


def write_dicom(root, case, image, label, affine):
    dicom.write_series(root / "images" / case, image, dicom.OBLIQUE, SPACING, ORIGIN, t0008_0060="MR")
    if label is not None:
        box = [slice(int(found.min()), int(found.max()) + 1) for found in np.nonzero(label)]
        start = [side.start for side in box]
        segments = [(name, value, 0) for value, name in NAMES.items()]
        slicer.segmentation(root / "labels" / f"{case}.seg.nrrd", label[tuple(box)], affine, segments, start)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on each form of the data, and predictions of the unlabeled images by it."""
    home = tmp_path_factory.mktemp("forms")
    affine = dicom.affine(dicom.OBLIQUE, SPACING, ORIGIN)
    for name, write in {"nifti": write_nifti, "nrrd": write_nrrd, "dicom": write_dicom}.items():
        for case, image, label, labeled in cases():
            write(home / name, case, image, label if labeled else None, affine)
            new = home / f"new_{name}" / "images"
            if not labeled:
                write(new.parent, case, image, None, affine)
                slicer.save(home / "truth" / f"{case}.nii.gz", label, affine)
        recipe = home / f"{name}.yaml"
        recipe.write_text(propose_recipe(home / name, gpu=False).text)
        semiseg.run(recipe, overrides=SMALL, output=home / f"run_{name}")
        semiseg.predict(home / f"run_{name}", home / f"new_{name}" / "images", home / f"out_{name}")
    return home


def scores(home, name):
    with (home / f"run_{name}" / "scores.csv").open() as file:
        return {
            (row["case"], row["checkpoint"], row["metric"], index % 2): float(row["value"])
            for index, row in enumerate(csv.DictReader(file))
        }


@pytest.mark.parametrize("name", ["nifti", "nrrd", "dicom"])
def test_check_finds_no_problems(finished, name):
    lines = semiseg.check(finished / f"{name}.yaml", overrides=SMALL)
    assert lines[-1] == "No problems found."
    assert any("2 images have no label, counted as unlabeled" in line for line in lines)
    if name == "dicom":
        assert any("classes: background, anterior, posterior" in line for line in lines)


@pytest.mark.parametrize("name", ["nrrd", "dicom"])
def test_a_run_gives_the_same_scores(finished, name):
    expected, found = scores(finished, "nifti"), scores(finished, name)
    assert len(expected) >= 8
    assert found.keys() == expected.keys()
    assert list(found.values()) == pytest.approx(list(expected.values()), rel=1e-5, nan_ok=True)


@pytest.mark.parametrize("name", ["nrrd", "dicom"])
def test_predictions_are_nifti_with_the_same_voxels_in_the_same_places(finished, name):
    paths = sorted((finished / "out_nifti").glob("*.nii.gz"))
    assert len(paths) == 2
    affine = dicom.affine(dicom.OBLIQUE, SPACING, ORIGIN)
    for path in paths:
        one, two = nibabel.load(path), nibabel.load(finished / f"out_{name}" / path.name)
        np.testing.assert_array_equal(one.dataobj, two.dataobj)
        np.testing.assert_allclose(two.affine, affine, atol=1e-5)


@pytest.mark.parametrize("name", ["nrrd", "dicom"])
def test_evaluate_gives_the_same_scores(finished, name):
    one, two = (evaluate(finished / f"out_{form}", finished / "truth", labels=NAMES) for form in ("nifti", name))
    assert [s.value for s in one.scores] == pytest.approx([s.value for s in two.scores], rel=1e-5, nan_ok=True)


def test_references_of_slicer_are_scored_by_name_on_the_grid_of_the_predictions(finished, tmp_path):
    affine = dicom.affine(dicom.OBLIQUE, SPACING, ORIGIN)
    for path in (finished / "truth").glob("*.nii.gz"):
        label = np.asarray(nibabel.load(path).dataobj)
        swapped = np.array([0, 2, 1], np.uint8)[label]
        box = [slice(int(found.min()), int(found.max()) + 1) for found in np.nonzero(label)]
        target = tmp_path / path.name.replace(".nii.gz", ".seg.nrrd")
        segments = [("posterior", 1, 0), ("anterior", 2, 0)]
        slicer.segmentation(target, swapped[tuple(box)], affine, segments, [side.start for side in box])
    one = evaluate(finished / "out_nifti", finished / "truth", labels=NAMES)
    two = evaluate(finished / "out_nifti", tmp_path, labels=NAMES)
    assert [s.value for s in one.scores] == pytest.approx([s.value for s in two.scores], rel=1e-5, nan_ok=True)
    with pytest.raises(semiseg.errors.DataError, match="--labels '1=posterior,2=anterior'"):
        evaluate(finished / "out_nifti", tmp_path)
