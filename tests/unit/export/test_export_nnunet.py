"""Exported datasets: files, links, values and folders; read again, they are the same."""

import json

import helpers_nnunet as nnunet
import helpers_pictures as pictures
import helpers_volumes as made
import nibabel
import numpy as np
import pytest
from helpers_reporter import Heard
from PIL import Image

from semiseg.datasets.nnunet import NnUNet
from semiseg.errors import ArgumentError, DataError, StorageError
from semiseg.export.nnunet_dataset import export_dataset
from semiseg.recipe.load import load_recipe
from semiseg.registry import create


def recipe(dataset, split, flat=False, outputs="classes"):
    training = {"epochs": 1, "patch_size": [16, 16] if flat else [16, 16, 16], "outputs": outputs}
    split = {key: value for key, value in split.items() if key != "unlabeled"}  # the others
    networks = {"backbone": {"name": "unet", "channels": [4, 8], "strides": [2]}, "strategy": {"name": "supervised"}}
    return load_recipe({"name": "my export", "dataset": dataset, "split": split, "training": training, **networks})


def folder_of(tmp_path, count=5, unlabeled=1, ids="abcdefgh", **label):
    """A folder with cases a, b … of which the last ones are unlabeled."""
    for number in range(count + unlabeled):
        part = "labeled" if number < count else "unlabeled"
        made.save(tmp_path / part / "images" / f"{ids[number]}.nii.gz", made.image(number))
        if number < count:
            made.save(tmp_path / part / "labels" / f"{ids[number]}.nii.gz", made.label(**label))
    return {"name": "folder", "root": str(tmp_path), "classes": {"front": 1, "back": 2}}


SPLIT = {"test": ["a"], "validation": ["b"], "labeled": ["c", "d"], "unlabeled": ["e", "f"]}


def written(home):
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


def same_when_read(home, block, split, **options):
    """The dataset of a block, and the exported one, after all cases of the split were compared."""
    options = {key: value for key, value in block.items() if key != "name"} | options
    before, after = create("dataset", block["name"], options), NnUNet(NnUNet.Options(root=home))
    cases, found = ({case.id: case for case in dataset.cases()} for dataset in (before, after))
    trained = [*split["labeled"], *split["validation"]]
    assert sorted(found) == sorted([*trained, *split.get("unlabeled", ())])
    for case_id, case in found.items():
        one, other = before.read_image(cases[case_id]), after.read_image(case)
        np.testing.assert_array_equal(one.array, other.array)
        assert not one.geometry.difference(other.geometry, tolerance=1e-6)
        assert (case.label is not None) == (case_id in trained)
        if case.label is not None:
            label = after.read_label(case).array
            np.testing.assert_array_equal(before.read_label(cases[case_id]).array, label)
    assert after.info().modalities == before.info().modalities
    assert after.info().classes == before.info().classes
    return before, after


def test_each_role_has_its_folder_and_hidden_labels_stay_hidden(tmp_path):
    block, heard = folder_of(tmp_path / "mine"), Heard()
    home = export_dataset(recipe(block, SPLIT), tmp_path / "raw", reporter=heard)
    assert home == tmp_path / "raw" / "Dataset501_my_export"
    assert written(home) == [
        "dataset.json",
        "imagesTr/b_0000.nii.gz",
        "imagesTr/c_0000.nii.gz",
        "imagesTr/d_0000.nii.gz",
        "imagesTs/a_0000.nii.gz",
        "imagesUn/e_0000.nii.gz",
        "imagesUn/f_0000.nii.gz",
        "labelsTr/b.nii.gz",
        "labelsTr/c.nii.gz",
        "labelsTr/d.nii.gz",
        "labelsTs/a.nii.gz",
        "splits_final.json",
    ]
    manifest = json.loads((home / "dataset.json").read_text())
    assert {key: value for key, value in manifest.items() if key != "description"} == {
        "channel_names": {"0": "image"},
        "labels": {"background": 0, "front": 1, "back": 2},
        "numTraining": 3,
        "file_ending": ".nii.gz",
        "name": "my export",
    }
    assert json.loads((home / "splits_final.json").read_text()) == [
        {"train": ["c", "d"], "val": ["b"]},
        {"train": ["b", "d"], "val": ["c"]},
        {"train": ["b", "c"], "val": ["d"]},
    ]
    assert heard.said == [
        "Note: imagesTs: 1 test case; labels in labelsTs.",
        "Note: imagesUn: 2 unlabeled cases, which semiseg reads as unlabeled cases and nnU-Net ignores.",
        "Note: fold 0 of splits_final.json is the recipe's split into labeled and validation cases; folds 1 to 2 divide"
        " the labeled cases.",
    ]
    _, after = same_when_read(home, block, SPLIT)
    assert after.folds() == (("b",), ("c",), ("d",))


def test_files_are_copied_or_linked_as_they_are(tmp_path):
    block = folder_of(tmp_path / "mine")
    for link in (False, True):
        home = export_dataset(recipe(block, SPLIT), tmp_path / f"raw{link}", link=link)
        for path in (home / "imagesTr/b_0000.nii.gz", home / "labelsTr/b.nii.gz"):
            source = tmp_path / "mine/labeled" / path.parent.name.replace("Tr", "") / "b.nii.gz"
            assert path.read_bytes() == source.read_bytes()
            assert path.is_symlink() is link
        same_when_read(home, block, SPLIT)


def test_what_nnunet_would_read_otherwise_is_written_anew(tmp_path):
    root, heard = tmp_path / "mine", Heard()
    block = {**folder_of(root, values=(0, 3, 7, 9)), "classes": {"front": 7, "back": 3}, "ignore": 9}
    images, labels = root / "labeled/images", root / "labeled/labels"
    made.save(images / "b.nii.gz", made.image(1)[..., None])  # a fourth axis
    (images / "c.nii.gz").unlink()
    made.save(images / "c.nii", made.image(2))
    moved = made.LPS.copy()
    moved[0, 3] += 0.02  # a header within a tenth of a voxel
    made.save(labels / "d.nii.gz", made.label((0, 3, 7, 9)), moved)
    home = export_dataset(recipe(block, SPLIT), tmp_path / "raw", link=True, reporter=heard)
    assert [path.name for path in sorted(home.rglob("*.nii.gz")) if path.is_symlink()] == [
        "d_0000.nii.gz",
        "a_0000.nii.gz",
        "e_0000.nii.gz",
        "f_0000.nii.gz",
    ]
    assert heard.said[-1].startswith("Note: 4 files are links, 6 are not: files are written if ")
    assert nibabel.load(home / "imagesTr/b_0000.nii.gz").shape == made.SHAPE
    stored = nibabel.load(home / "labelsTr/d.nii.gz")
    np.testing.assert_array_equal(np.asarray(stored.dataobj), made.label((0, 1, 2, 3)))
    np.testing.assert_array_equal(stored.affine, made.LPS)
    labels = json.loads((home / "dataset.json").read_text())["labels"]
    assert labels == {"background": 0, "back": 1, "front": 2, "ignore": 3}
    same_when_read(home, block, SPLIT)


def test_ct_has_the_name_by_which_nnunet_normalizes_it(tmp_path):
    block, heard = folder_of(tmp_path / "data"), Heard()
    known = {"image": {"low": -100, "high": 200, "mean": 50, "deviation": 30}}
    ct = {"normalize": "ct", "foreground": "all", "intensities": known}
    changed = load_recipe({**recipe(block, SPLIT).model_dump(), "preprocessing": ct})
    home = export_dataset(changed, tmp_path / "raw", reporter=heard)
    assert json.loads((home / "dataset.json").read_text())["channel_names"] == {"0": "CT"}
    assert any("image: named CT" in line for line in heard.said)


def test_channels_in_one_file_become_a_file_each(tmp_path):
    root = made.write_decathlon(tmp_path / "msd", channels=2)
    split = {"test": 0, "validation": ["part_1"], "labeled": ["part_0"], "unlabeled": ["part_2"]}
    home = export_dataset(recipe({"name": "decathlon", "root": str(root)}, split), tmp_path / "raw")
    assert written(home)[1:5] == [f"imagesTr/part_{n}_000{channel}.nii.gz" for n in range(2) for channel in range(2)]
    same_when_read(home, {"name": "decathlon", "root": str(root)}, split)


def test_h5_files_become_nifti(tmp_path):
    block = {"name": "acdc", "root": str(made.write_acdc(tmp_path / "acdc"))}
    first, second, *others = made.ACDC_IDS
    split, heard = {"test": 0, "validation": others, "labeled": [first, second]}, Heard()
    home = export_dataset(recipe(block, split), tmp_path / "raw", reporter=heard)
    assert "Note: 4 images without a voxel size in mm: nnU-Net takes voxels of 1 x 1 x 1 mm." in heard.said
    same_when_read(home, block, split)
    # The two scans of a patient are never divided.
    folds = json.loads((home / "splits_final.json").read_text())
    assert [fold["val"] for fold in folds] == [others, [first, second]]


def test_regions_and_stored_values_of_brats(tmp_path):
    root = made.write_brats(tmp_path / "brats")
    ids = [f"BraTS_0{number}" for number in (0, 1, 2)]
    split = {"test": [ids[0]], "validation": [ids[1]], "labeled": [ids[2]], "unlabeled": ["BraTS_09"]}
    block = {"name": "brats", "root": str(root)}
    home = export_dataset(recipe(block, split, outputs="regions"), tmp_path / "raw", link=True)
    before, after = same_when_read(home, block, split)
    assert dict(after.info().regions) == dict(before.info().regions)
    assert after.info().class_values == (0, 1, 2, 3)
    assert after.notes() == (
        "imagesTs: 1 image is left out; set dataset.test_images=unlabeled to use them as unlabeled cases",
        "imagesUn: 1 image is counted as unlabeled cases",
    )
    assert set(np.unique(nibabel.load(home / "labelsTs" / f"{ids[0]}.nii.gz").dataobj)) == {0, 1, 2, 3}


@pytest.mark.parametrize("gray", [True, False])
def test_pictures_become_png_without_a_palette(tmp_path, gray):
    root = pictures.write_pictures(tmp_path / "photos", gray=gray, ending=".jpg" if gray else ".png")
    block = {"name": "folder", "root": str(root), "classes": {"disk": 255}}
    block |= {} if gray else {"modalities": ["red", "green", "blue"]}
    split = {
        "test": ["p_00"],
        "validation": ["p_01"],
        "labeled": ["p_02", "p_03"],
        "unlabeled": ["p_04", "p_05", "p_06"],
    }
    home = export_dataset(recipe(block, split, flat=True), tmp_path / "raw")
    assert json.loads((home / "dataset.json").read_text())["file_ending"] == ".png"
    mask = Image.open(home / "labelsTs" / "p_00.png")
    assert mask.mode == "L"
    np.testing.assert_array_equal(np.asarray(mask), pictures.disk(0)[1] // 255)
    same_when_read(home, block, split)


def test_pictures_that_png_cannot_hold_are_refused(tmp_path):
    for number in range(3):
        pictures.save(tmp_path / "p" / "labeled/images" / f"{number}.tif", np.ones((32, 32), np.float32) * number)
        pictures.save(tmp_path / "p" / "labeled/labels" / f"{number}.png", np.eye(32, dtype=np.uint8))
    block = {"name": "folder", "root": str(tmp_path / "p"), "classes": {"line": 1}}
    with pytest.raises(DataError, match="case 1: its pixels are float32, which a PNG cannot store"):
        export_dataset(recipe(block, {"test": 1, "validation": 1, "labeled": 1}, flat=True), tmp_path / "raw")


def test_a_failed_export_leaves_nothing_and_a_killed_one_is_not_taken_for_complete(tmp_path):
    block = folder_of(tmp_path / "mine")
    for name in "bd":
        path = tmp_path / f"mine/labeled/labels/{name}.nii.gz"
        path.unlink()
        made.save(path, made.label((0, 1, 5)))
    with pytest.raises(DataError) as caught:
        export_dataset(recipe(block, SPLIT), tmp_path / "raw")
    assert [problem.where.rsplit("/", 1)[1] for problem in caught.value.problems] == ["d.nii.gz", "b.nii.gz"]
    assert not (tmp_path / "raw" / "Dataset501_my_export").exists()
    (tmp_path / "raw" / "Dataset501_my_export" / "imagesTr").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"is not empty, and has no dataset.json: an export may have been killed"):
        export_dataset(recipe(block, SPLIT), tmp_path / "raw")


def test_folders_that_cannot_be_written_are_refused_before_anything_is_read(tmp_path):
    mine = recipe(folder_of(tmp_path / "mine"), SPLIT)
    nnunet.write_nnunet(tmp_path / "raw" / "Dataset007_Other")
    for options, error, told in (
        ({"number": 7}, StorageError, "has another dataset of this number, Dataset007_Other"),
        ({"number": 7, "name": "Other"}, StorageError, "Dataset007_Other is not empty."),
        ({"number": 1000}, ArgumentError, "The number of an nnU-Net dataset is 1000"),
        ({"name": "a b"}, ArgumentError, "'a b' cannot be the name of an nnU-Net dataset"),
    ):
        with pytest.raises(error) as caught:
            export_dataset(mine, tmp_path / "raw", **options)
        assert told in str(caught.value)
    with pytest.raises(ArgumentError, match="--id and --name contradict"):
        export_dataset(mine, tmp_path / "Dataset008_Mine", number=9)
    assert export_dataset(mine, tmp_path / "Dataset008_Mine") == tmp_path / "Dataset008_Mine"
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["Dataset007_Other"]
