"""Recipes with "auto": what is planned from the data, that it stays with the run, and overriding single keys."""

import json
import re

import nibabel
import numpy as np
import pytest

import semiseg
from semiseg.errors import DataError, RecipeError, RunError
from semiseg.pipeline.plan import make_plan
from semiseg.progress import Reporter
from semiseg.recipe.load import load_recipe
from semiseg.recipe.schema import Preprocessing

TINY = {"name": "unet", "channels": [4, 8, 8], "strides": "auto", "num_res_units": 0}


def write(path, array, spacing):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*spacing, 1.0])), path)


def ct_case(folder, name, spacing, seed, labeled=True):
    """Write a body in air with an organ of 60 HU, on a grid of 48 x 40 x 32 mm."""
    generator = np.random.default_rng(seed)
    shape = tuple(round(n / s) for n, s in zip((48, 40, 32), spacing, strict=True))
    centers = np.meshgrid(*((np.arange(n) + 0.5) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    body = sum(((c - m) / r) ** 2 for c, m, r in zip(centers, (24, 20, 16), (20, 16, 40), strict=True)) < 1
    organ = sum((c - m) ** 2 for c, m in zip(centers, (20, 20, 16), strict=True)) < 8**2
    image = np.where(body, 0.0, -1000.0) + organ * 60 + generator.normal(0, 10, shape)
    image[body & (centers[0] > 40)] = 700
    part = "labeled" if labeled else "unlabeled"
    write(folder / part / "images" / f"{name}.nii.gz", image.astype(np.int16), spacing)
    if labeled:
        write(folder / part / "labels" / f"{name}.nii.gz", organ.astype(np.uint8), spacing)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for index in range(6):
        ct_case(folder, f"c{index}", (1, 1, 1) if index % 2 else (1, 1, 4), index)
    for index in range(2):
        ct_case(folder, f"u{index}", (2, 2, 2), 10 + index, labeled=False)
    return folder


def recipe(scans, **changes):
    return {
        "name": "auto",
        "dataset": {"name": "folder", "root": str(scans), "classes": {"organ": 1}},
        "split": {"test": 2, "validation": 1, "labeled": "all"},
        "preprocessing": {"normalize": "auto", "foreground": "auto", "spacing": "auto"},
        "augmentation": "none",
        "backbone": TINY,
        "strategy": "supervised",
        "training": {
            "epochs": 1,
            "examples_per_epoch": 4,
            "patch_size": "auto",
            "batch_size": "auto",
            "device": "cpu",
            "precision": "32",
        },
        "inference": {"overlap": 0},
        **changes,
    }


class Lines(Reporter):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def test_everything_is_planned_from_the_training_cases(scans):
    plan = make_plan(load_recipe(recipe(scans)))
    settled = plan.recipe.preprocessing
    assert (settled.normalize, settled.foreground) == ("ct", "all")
    assert len(settled.spacing) == 3
    known = settled.intensities["image"]
    assert known.mean == pytest.approx(60, abs=2)
    assert known.deviation == pytest.approx(10, abs=1)
    assert known.low < 60 - 20 < 60 + 20 < known.high
    assert plan.task.patch_size == plan.recipe.training.patch
    assert plan.task.spacing == settled.spacing
    assert plan.sizes.mixed >= (2, 0)
    assert set(plan.planned) == {
        "preprocessing.normalize",
        "preprocessing.foreground",
        "preprocessing.intensities",
        "preprocessing.spacing",
        "training.patch_size",
        "training.batch_size",
    }
    words = "\n".join(plan.settled.described())
    assert "CT by name, header or Hounsfield values: image" in words
    assert "training cases have" in words
    assert plan.written.training.patch_size == "auto"


def test_each_key_can_be_overridden(scans):
    changed = recipe(scans)
    changed["preprocessing"] = {"normalize": "auto", "foreground": "all", "spacing": [2, 2, 2]}
    changed["training"] = {**changed["training"], "patch_size": [16, 16, 16]}
    plan = make_plan(load_recipe(changed))
    assert plan.recipe.preprocessing.spacing == (2, 2, 2)
    assert plan.task.patch_size == (16, 16, 16)
    assert set(plan.planned) == {"preprocessing.normalize", "preprocessing.intensities", "training.batch_size"}


def test_slices_are_planned_in_their_plane(scans):
    changed = recipe(scans)
    changed["training"] = {**changed["training"], "patch_size": "auto-2d"}
    plan = make_plan(load_recipe(changed))
    assert len(plan.task.patch_size) == len(plan.recipe.preprocessing.spacing) == 2


def test_a_run_keeps_its_plan_and_predicts_with_it_on_any_grid(scans, tmp_path):
    said = Lines()
    found = semiseg.run(recipe(scans), tmp_path / "run", reporter=said)
    assert any(line.startswith("Planned preprocessing.spacing: ") for line in said.lines)
    words = (tmp_path / "run" / "plan.txt").read_text()
    assert "Planned preprocessing.normalize: ct; CT by name, header or Hounsfield values: image.\n" in words
    assert "Planned network: " in words
    kept = json.loads((tmp_path / "run" / "model.json").read_text())["planned"]
    assert kept["preprocessing.normalize"] == "ct"
    assert "spacing: auto" in (tmp_path / "run" / "recipe.yaml").read_text()
    assert {score.case for score in found.scores} <= {f"c{index}" for index in range(6)}
    again = semiseg.run(recipe(scans), tmp_path / "run", resume=True)
    assert again.scores == found.scores
    ct_case(tmp_path / "new", "fine", (0.8, 0.8, 0.8), 50)
    ct_case(tmp_path / "new", "coarse", (2, 2, 5), 51)
    images = tmp_path / "new" / "labeled" / "images"
    written = semiseg.predict(tmp_path / "run", images, tmp_path / "out")
    for path in written:
        prediction, image = nibabel.load(path), nibabel.load(images / path.name)
        assert prediction.shape == image.shape
        np.testing.assert_array_equal(prediction.affine, image.affine)


def test_modalities_and_sides_are_checked(scans):
    wrong = recipe(scans)
    wrong["preprocessing"] = {"normalize": {"flair": "zscore"}, "spacing": [1, 1]}
    wrong["training"] = {**wrong["training"], "patch_size": [16, 16, 16], "batch_size": {"labeled": 1}}
    with pytest.raises(RecipeError) as caught:
        make_plan(load_recipe(wrong))
    assert "preprocessing.normalize is by modality, for flair; the dataset's are image." in str(caught.value)
    assert "preprocessing.spacing has 2 numbers, but training.patch_size has 3 sides." in str(caught.value)


def test_in_ct_zero_is_no_background(scans):
    with pytest.raises(ValueError, match="0 is water"):
        Preprocessing(normalize="ct")


def preprocessing(**changed):
    return {"normalize": "auto", "foreground": "auto", "spacing": "auto", **changed}


@pytest.mark.parametrize(
    ("changed", "training", "message"),
    [
        (
            {"foreground": "nonzero"},
            {},
            "preprocessing.normalize is auto; made from the data it would be ct (CT by name, header or Hounsfield"
            " values: image), but in CT, 0 is water",
        ),
        ({"spacing": [1, 1, 1]}, {"patch_size": "auto-2d"}, "has 3 numbers, but training.patch_size is auto-2d"),
        ({"spacing": [1, 1]}, {}, "has 2 numbers, but training.patch_size is auto, which has 3 sides"),
        ({"normalize": {"flair": "ct"}, "foreground": "all"}, {}, "for flair; the dataset's are image"),
        (
            {"normalize": "zscore", "intensities": {"image": {"low": 0, "high": 1, "mean": 0, "deviation": 1}}},
            {},
            "preprocessing.intensities has image, which preprocessing.normalize does not take for CT",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(scans, changed, training, message):
    wrong = recipe(scans, preprocessing=preprocessing(**changed))
    wrong["training"] = {**wrong["training"], **training}
    with pytest.raises(RecipeError, match=re.escape(message)):
        make_plan(load_recipe(wrong))


def test_a_batch_of_slices_grows_with_the_slices_and_a_strategy_gets_its_groups(scans):
    flat = recipe(scans)
    flat["training"] = {**flat["training"], "patch_size": [16, 16]}
    sizes = {}
    for folder, slices in ((scans, 32), (scans.parent / "thin", 8)):
        if folder != scans:
            for index in range(6):
                write(folder / "labeled/images" / f"c{index}.nii.gz", np.ones((48, 40, slices), np.int16), (1, 1, 4))
                write(folder / "labeled/labels" / f"c{index}.nii.gz", np.ones((48, 40, slices), np.uint8), (1, 1, 4))
        flat["dataset"] = {**flat["dataset"], "root": str(folder)}
        flat["preprocessing"] = {"normalize": "zscore", "foreground": "all"}
        sizes[slices] = make_plan(load_recipe(flat)).sizes.mixed.labeled
    assert 2 < sizes[8] < sizes[32]


def test_edited_values_of_a_plan_are_not_trained_on(scans, tmp_path):
    semiseg.run(recipe(scans), tmp_path / "run")
    path = tmp_path / "run" / "model.json"
    record = json.loads(path.read_text())
    record["planned"]["preprocessing.intensities"]["image"]["mean"] = 0.0
    path.write_text(json.dumps(record))
    with pytest.raises(RunError, match="its planned values are not those that the run began with"):
        semiseg.run(recipe(scans), tmp_path / "run", resume=True)


def test_a_test_case_that_cannot_be_resampled_is_found_before_training(scans, tmp_path):
    folder = tmp_path / "scans"
    for index in range(4):
        ct_case(folder, f"c{index}", (1, 1, 2), index)
    write(folder / "labeled/images/wrong.nii.gz", np.ones((16, 16, 16), np.int16), (60, 1, 1))
    write(folder / "labeled/labels/wrong.nii.gz", np.ones((16, 16, 16), np.uint8), (60, 1, 1))
    wrong = recipe(folder, split={"test": ["wrong"], "labeled": "all"})
    for action in (lambda: semiseg.check(wrong), lambda: semiseg.run(wrong, tmp_path / "run")):
        with pytest.raises(DataError, match="case wrong: its voxels are 60 x 1 x 1 mm, too large"):
            action()
    assert not (tmp_path / "run" / "checkpoints").exists()
