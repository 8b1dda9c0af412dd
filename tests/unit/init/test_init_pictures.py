"""``semiseg init`` on folders of pictures."""

import json

import helpers_pictures as made
import numpy as np
import pytest

from semiseg.errors import DataError
from semiseg.init.propose import plane_patch_size, propose_recipe
from semiseg.init.recognize import recognize
from semiseg.recipe.load import load_recipe


def proposed(folder, tmp_path, gpu=False):
    path = tmp_path / "recipe.yaml"
    proposal = propose_recipe(folder, gpu=gpu)
    path.write_text(proposal.text)
    return load_recipe(path), proposal.findings


def test_rgb_pictures_and_masks_of_0_and_255(tmp_path):
    root = made.write_pictures(tmp_path / "photos", size=(72, 40))
    recipe, findings = proposed(root, tmp_path)
    assert recipe.dataset.values == {
        "root": str(root),
        "classes": {"class_255": 255},
        "modalities": ["red", "green", "blue"],
    }
    assert recipe.training.patch_size == (64, 32)
    assert recipe.training.batch_size.labeled == 4
    assert recipe.preprocessing.foreground == "all"
    assert recipe.augmentation.values["flip_axes"] == ["left-right", "anterior-posterior"]
    assert "Median image: 72 x 40 pixels; patch: 64 x 32" in findings
    assert not [line for line in findings if line.startswith("Note")]


def test_gray_pictures_whose_ids_end_in_digits(tmp_path):
    for number in range(4):
        picture, mask = made.disk(number)
        made.save(tmp_path / "d" / "labeled" / "images" / f"slice_{number:04d}.tif", picture[..., 0])
        made.save(tmp_path / "d" / "labeled" / "labels" / f"slice_{number:04d}.png", mask // 255)
    recipe, findings = proposed(tmp_path / "d", tmp_path)
    assert recipe.dataset.values == {"root": str(tmp_path / "d"), "classes": {"class_1": 1}}
    assert "Modalities: image; classes: background, class_1" in findings


def test_numbered_gray_pictures(tmp_path):
    for number in range(4):
        picture, mask = made.disk(number)
        for channel in range(2):
            made.save(tmp_path / "labeled" / "images" / f"a_{number}_{channel:04d}.png", picture[..., channel])
        made.save(tmp_path / "labeled" / "labels" / f"a_{number}.png", mask)
    assert recognize(tmp_path)["modalities"] == ["modality_0", "modality_1"]


def test_an_nnunet_dataset_of_photographs(tmp_path):
    for number in range(4):
        picture, mask = made.disk(number)
        made.save(tmp_path / "d" / "imagesTr" / f"a_{number}_0000.png", picture)
        made.save(tmp_path / "d" / "labelsTr" / f"a_{number}.png", mask // 255)
    names = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"background": 0, "disk": 1}}
    (tmp_path / "d" / "dataset.json").write_text(json.dumps({**names, "numTraining": 4, "file_ending": ".png"}))
    recipe, findings = proposed(tmp_path / "d", tmp_path)
    assert recipe.dataset.name == "nnunet"
    assert "Modalities: R, G, B; classes: background, disk" in findings
    assert len(recipe.training.patch_size) == 2
    assert "Cases: 4, 4 with a label, of 4 patients" in findings


def test_masks_that_were_resampled_or_jpeg_are_refused(tmp_path):
    root = made.write_pictures(tmp_path)
    made.save(root / "labeled" / "labels" / "p_00.png", np.resize(np.array([0, 3, 253, 255], np.uint8), (32, 40)))
    with pytest.raises(DataError, match=r"its masks have values next to 255 \(3, 253, 255\)"):
        recognize(root)


def test_pictures_in_another_layout(tmp_path):
    made.save(tmp_path / "masks" / "a.png", made.disk(0)[1])
    with pytest.raises(DataError, match=r"unknown layout; it contains masks/a.png[\s\S]*or pictures of your own"):
        recognize(tmp_path)


@pytest.mark.parametrize(
    ("extent", "cpu", "gpu"),
    [((1024, 768, 1), (128, 128), (512, 512)), ((100, 33, 1), (96, 32), (96, 32)), ((5, 9, 1), (32, 32), (32, 32))],
)
def test_patches_of_pictures(extent, cpu, gpu):
    assert (plane_patch_size(extent, False), plane_patch_size(extent, True)) == (cpu, gpu)
