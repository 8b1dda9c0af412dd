"""Photographs from ``init`` to predictions and scores, in a tiny training."""

import csv

import helpers_pictures as made
import numpy as np
import pytest
from PIL import Image

import semiseg
from semiseg.errors import RecipeError, RunError
from semiseg.init.propose import propose_recipe
from semiseg.scoring.evaluate import evaluate

SMALL = (
    "backbone.channels=[4,8]",
    "backbone.strides=[2]",
    "training.epochs=2",
    "training.examples_per_epoch=16",
    "training.workers=0",
    "inference.overlap=0.0",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("pictures")
    made.write_pictures(home / "photos")
    (home / "recipe.yaml").write_text(propose_recipe(home / "photos", gpu=False).text)
    semiseg.run(home / "recipe.yaml", overrides=SMALL, output=home / "run")
    return home


def test_check_finds_no_problems(finished):
    lines = semiseg.check(finished / "recipe.yaml")
    assert "Modalities: red, green, blue; classes: background, class_255" in lines
    assert lines[-1] == "No problems found."


def test_a_patch_with_three_sides_is_refused(finished, tmp_path):
    three = ["training.patch_size=[32,32,32]", *SMALL]
    wanted = r"has three sides, \[32, 32, 32\], but the images are 2D\.\n.*training\.patch_size=\[32, 32\]"
    with pytest.raises(RecipeError, match=wanted):
        semiseg.check(finished / "recipe.yaml", overrides=three, quick=True)
    with pytest.raises(RecipeError, match=wanted):
        semiseg.run(finished / "recipe.yaml", overrides=three, output=tmp_path / "run")


def test_predictions_are_png_with_the_values_of_the_masks(finished):
    paths = sorted((finished / "run" / "predictions").glob("*/*.png"))
    assert len(paths) == 2
    for path in paths:
        array = np.asarray(Image.open(path))
        assert array.shape == (32, 40)
        assert set(np.unique(array).tolist()) <= {0, 255}


def test_distances_are_in_pixels_and_equal_those_of_evaluate(finished):
    with (finished / "run" / "scores.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["checkpoint"] == "last"]
    assert {row["metric"]: row["unit"] for row in rows} == {"dice": "1", "hd95": "pixel"}
    found = evaluate(finished / "run" / "predictions" / "last", finished / "photos" / "labeled" / "labels")
    assert [score.value for score in found.scores] == pytest.approx([float(row["value"]) for row in rows])
    assert (finished / "run" / "preview.png").exists()
    report = (finished / "run" / "report.html").read_text()
    assert "hd95 [pixel]" in report
    assert " pixels, averaged over the classes of 1 test cases." in report
    assert "40 x 32 pixels." in report


def test_new_pictures_are_predicted_as_png(finished, tmp_path):
    new = finished / "photos" / "unlabeled" / "images"
    paths = semiseg.predict(finished / "run", new, tmp_path / "out")
    assert [path.name for path in paths] == ["p_05.png", "p_06.png"]
    (path,) = semiseg.predict(finished / "run", new / "p_05.png", tmp_path / "one.png")
    np.testing.assert_array_equal(Image.open(path), Image.open(paths[0]))
    with pytest.raises(RunError, match=r"its prediction is a \.png file"):
        semiseg.predict(finished / "run", new / "p_05.png", tmp_path / "one.nii.gz")
