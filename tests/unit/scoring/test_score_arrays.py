"""``semiseg.score``: scores of arrays, as of files."""

import math

import nibabel as nib
import numpy as np
import pytest
import torch

import semiseg
from semiseg.errors import ArgumentError, ComponentError, DataError
from semiseg.scoring.scores import Scores


def cubes():
    """A reference cube of 4 voxels a side, and one moved by a voxel along X: 48 of 64 in common; and a second class."""
    reference, prediction = np.zeros((12, 10, 9), np.uint8), np.zeros((12, 10, 9), np.uint8)
    reference[2:6, 2:6, 2:6] = 1
    prediction[3:7, 2:6, 2:6] = 1
    reference[8, 8, 8] = 4
    return prediction, reference


def test_dice_and_distances_by_hand():
    found = semiseg.score(*cubes(), spacing=(2.0, 1.0, 1.0))
    assert found.values("dice") == {"1": 0.75, "4": 0.0}
    assert found.values("hd95")["1"] == 2.0  # a voxel along X is 2 mm
    assert found.values("hd95")["4"] == math.inf
    assert [score.status for score in found if score.metric == "dice"] == ["ok", "missed"]
    assert {score.unit for score in found if score.metric == "hd95"} == {"mm"}


def test_without_spacing_distances_are_in_voxels_and_pixels():
    prediction, reference = cubes()
    voxels = semiseg.score(prediction, reference, metrics=["hd95"])
    assert voxels.values("hd95")["1"] == 1.0
    assert {score.unit for score in voxels} == {"voxel"}
    pixels = semiseg.score(prediction[:, :, 3], reference[:, :, 3], metrics=["dice", "hd95"])
    assert pixels.values("dice") == {"1": 0.75}
    assert pixels.values("hd95") == {"1": 1.0}
    assert {score.unit for score in pixels if score.metric == "hd95"} == {"pixel"}
    flat = semiseg.score(prediction[:, :, 3], reference[:, :, 3], spacing=(3, 1), metrics=["hd95"])
    assert flat.values("hd95") == {"1": 3.0}


def test_classes_regions_ignored_voxels_and_presets():
    prediction, reference = cubes()
    named = semiseg.score(prediction, reference, classes={1: "core", 4: "rim"}, regions={"whole": ["core", "rim"]})
    assert named.values("dice") == {"core": 0.75, "rim": 0.0, "whole": pytest.approx(2 * 48 / (64 + 65))}
    listed = semiseg.score(prediction, np.where(reference == 4, 2, reference), classes=["core", "rim"])
    assert listed.values("dice") == {"core": 0.75, "rim": 0.0}
    left_out = semiseg.score(prediction, reference, classes={1: "core", 4: "ignore"})
    assert left_out.values("dice") == {"core": 0.75}
    assert {score.n_ignored for score in left_out} == {1}
    medpy = semiseg.score(prediction, reference, preset="medpy", metrics=["hd95"])
    assert math.isnan(medpy.values("hd95")["4"])
    brats = semiseg.score(prediction, np.where(reference == 4, 3, reference), preset="brats2023")
    assert {"whole tumor", "enhancing tumor"} <= {*brats.values("dice")}


def test_arrays_score_as_their_files(tmp_path):
    prediction, reference = cubes()
    affine = np.diag([1.5, 0.7, 2.0, 1.0])
    for name, array in (("predictions", prediction), ("references", reference)):
        (tmp_path / name).mkdir()
        nib.save(nib.Nifti1Image(array, affine), tmp_path / name / "a.nii.gz")
    files = semiseg.evaluate(tmp_path / "predictions", tmp_path / "references", metrics=["dice", "hd95", "assd"])
    arrays = semiseg.score(
        torch.from_numpy(prediction), reference, spacing=(1.5, 0.7, 2.0), metrics=["dice", "hd95", "assd"], case="a"
    )
    assert arrays.values("assd") == pytest.approx(files.scores.values("assd"), nan_ok=True)
    assert [score.value for score in arrays] == pytest.approx([score.value for score in files.scores])
    assert [score.class_name for score in arrays] == [score.class_name for score in files.scores]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"prediction": np.zeros((3, 3, 3))}, ArgumentError, r"prediction: its shape is \(3, 3, 3\)"),
        ({"spacing": (1, 1)}, ArgumentError, "not 3 sizes above 0"),
        ({"spacing": (1, -1, 1)}, ArgumentError, "not 3 sizes above 0"),
        ({"reference": np.zeros((12, 10, 9))}, ArgumentError, "only background"),
        ({"metrics": ["dise"]}, ComponentError, "dise"),
        ({"preset": "itk"}, ArgumentError, "Unknown preset 'itk'"),
        ({"classes": ["one"]}, DataError, "label 4 has no class"),
        ({"prediction": np.full((12, 10, 9), 0.4)}, DataError, "not whole numbers"),
        ({"regions": {"all": ["two"]}}, ArgumentError, "no class two"),
    ],
)
def test_what_cannot_be_scored_is_told(changes, error, said):
    prediction, reference = cubes()
    given = {"prediction": prediction, "reference": reference, **changes}
    with pytest.raises(error, match=said):
        semiseg.score(given.pop("prediction"), given.pop("reference"), **given)


def test_four_axes_and_empty_arrays_are_refused_together():
    with pytest.raises(ArgumentError) as caught:
        semiseg.score(np.zeros((1, 2, 3, 4)), np.zeros((0, 2, 3)), spacing=(0, 1, 1))
    assert len(caught.value.problems) == 4


def test_tables_of_scores():
    found = semiseg.score(*cubes(), spacing=(2, 1, 1), classes={1: "a<b", 4: "rim"}, case="one")
    frame = found.to_dataframe()
    assert [*frame.columns[:6]] == ["run", "checkpoint", "case", "class", "metric", "value"]
    assert frame.set_index(["class", "metric"]).loc[("a<b", "dice"), "value"] == 0.75
    page = found._repr_html_()
    assert "<th" in page
    assert "hd95, mm" in page
    assert "a&lt;b" in page
    assert "0.750" in page
    with pytest.raises(KeyError, match="metrics: dice, hd95"):
        found.values("nsd")
    assert repr(found) == "<4 scores of 1 case>"
    assert Scores().table().row_count == 0


def test_values_are_means_over_cases_without_undefined_ones():
    one = semiseg.score(*cubes(), classes={1: "a", 4: "b", 7: "c"}, case="one", metrics=["dice"])
    same = semiseg.score(cubes()[1], cubes()[1], classes={1: "a", 4: "b", 7: "c"}, case="two", metrics=["dice"])
    values = Scores([*one, *same]).values("dice")
    assert (values["a"], values["b"]) == (0.875, 0.5)
    assert math.isnan(values["c"])  # in neither
