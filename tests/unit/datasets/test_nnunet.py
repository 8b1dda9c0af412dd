"""Raw datasets of nnU-Net v2: files, channels, labels, unlabeled images, and what is said of them."""

import json

import helpers_pictures as pictures
import helpers_volumes as made
import numpy as np
import pytest
from helpers_nnunet import write_folds, write_json, write_nnunet

from semiseg.datasets.nnunet import NnUNet
from semiseg.errors import DataError
from semiseg.init.recognize import recognize
from semiseg.types import IGNORED


def read(root, **options):
    return NnUNet(NnUNet.Options(root=root, **options))


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


def test_files_channels_and_classes_are_those_of_dataset_json(tmp_path):
    dataset = read(write_nnunet(tmp_path, channels=("CT", "PET")))
    info = dataset.info()
    assert (info.modalities, info.classes, info.class_values) == (
        ("CT", "PET"),
        ("background", "liver", "tumor"),
        (0, 1, 2),
    )
    assert [(case.id, len(case.images), case.label.name) for case in dataset.cases()] == [
        ("x_0", 2, "x_0.nii.gz"),
        ("x_1", 2, "x_1.nii.gz"),
        ("x_2", 2, "x_2.nii.gz"),
    ]
    np.testing.assert_array_equal(dataset.read_label(dataset.cases()[1]).array, made.label((1, 2, 0)))
    assert dataset.notes() == ()


def test_labels_may_have_gaps_and_voxels_may_be_ignored(tmp_path):
    labels = {"background": 0, "core": 3, "edge": 1, "ignore": 4}
    dataset = read(write_nnunet(tmp_path, values=(0, 1, 3, 4), labels=labels))
    assert (dataset.info().classes, dataset.info().class_values) == (("background", "edge", "core"), (0, 1, 3))
    found = dataset.read_label(dataset.cases()[0]).array
    np.testing.assert_array_equal(found, made.label((0, 1, 2, IGNORED)))
    assert "4 is to be ignored" not in refusal(read(tmp_path, ignore=9).info)
    assert "9 is to be ignored, but in dataset.json the label ignore has the value 4" in refusal(
        read(tmp_path, ignore=9).info
    )


def test_names_of_values_can_be_replaced(tmp_path):
    root = write_nnunet(tmp_path)
    assert read(root, classes={"lesion": 2}).info().classes == ("background", "liver", "lesion")
    assert "no label of dataset.json has the value 7" in refusal(read(root, classes={"lesion": 7}).info)
    assert "several classes, or a class and a region, are named liver" in refusal(read(root, classes={"liver": 2}).info)


def test_images_without_labels_are_unlabeled_and_all_of_it_is_told(tmp_path):
    root = write_nnunet(tmp_path, labeled=4, test=2, unlabeled=1, numTraining=9)
    (root / "labelsTr" / "x_1.nii.gz").unlink()
    (root / "labelsTr" / "x_2.nii.gz").rename(root / "labelsTr" / "other.nii.gz")
    made.save(root / "imagesTr" / "late_0000.nii", made.image())
    dataset = read(root)
    assert [case.id for case in dataset.cases() if case.label is None] == ["u_0", "x_1", "x_2"]
    assert dataset.notes() == (
        "imagesTr: 1 file is without .nii.gz, the file_ending of dataset.json, and not read: late_0000.nii",
        "numTraining in dataset.json is 9, but there are 4 training cases",
        "imagesTr: 2 images are without a label in labelsTr and counted as unlabeled cases: x_1, x_2",
        "labelsTr: 1 label is without an image in imagesTr and not read: other.nii.gz",
        "imagesTs: 2 images are left out; set dataset.test_images=unlabeled to use them as unlabeled cases",
        "imagesUn: 1 image is counted as unlabeled cases",
    )
    with_test = read(root, test_images="unlabeled", unlabeled="")
    assert [case.id for case in with_test.cases() if case.label is None] == ["t_0", "t_1", "x_1", "x_2"]


def test_an_image_that_lacks_a_channel_is_refused(tmp_path):
    root = write_nnunet(tmp_path, channels=("CT", "PET"))
    (root / "imagesTr" / "x_1_0001.nii.gz").unlink()
    made.save(root / "imagesTr" / "x_2_0002.nii.gz", made.image())
    made.save(root / "imagesTr" / "plain.nii.gz", made.image())
    told = refusal(read(root).cases)
    assert "case x_1: modality _0001 (PET) is missing\n" in told
    assert "channel_names in dataset.json" in told
    assert "case x_2: there is no modality for x_2_0002.nii.gz\n" in told
    assert "plain.nii.gz: its name does not end in a modality number\n" in told


def test_ids_may_end_in_numbers_of_four_digits(tmp_path):
    root = write_nnunet(tmp_path, labeled=1)
    for folder, ending in (("imagesTr", "_0000_0000.nii.gz"), ("labelsTr", "_0000.nii.gz")):
        made.save(root / folder / f"y{ending}", made.label())
    assert [case.id for case in read(root).cases()] == ["x_0", "y_0000"]


def test_cases_listed_in_dataset_json_may_lie_anywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("SCANS", str(tmp_path / "scans"))
    made.save(tmp_path / "scans" / "a.nii.gz", made.image())
    made.save(tmp_path / "raw" / "seg" / "a.nii.gz", made.label())
    listed = {"p1": {"images": ["$SCANS/a.nii.gz"], "label": "seg/a.nii.gz"}}
    root = write_nnunet(tmp_path / "raw", labeled=0, numTraining=1, dataset=listed)
    (case,) = read(root).cases()
    assert (case.id, case.images, case.label) == (
        "p1",
        (tmp_path / "scans" / "a.nii.gz",),
        root / "seg" / "a.nii.gz",
    )
    assert recognize(root)["name"] == "nnunet"
    case.images[0].unlink()
    assert f"{case.images[0]}: listed in dataset.json, but not found" in refusal(read(root).cases)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_all_files_have_the_declared_ending(tmp_path, ending):
    assert len(read(write_nnunet(tmp_path, ending=ending)).cases()) == 3


def test_photographs_are_rgb_in_one_file_or_a_file_per_channel(tmp_path):
    for number in range(2):
        picture, mask = pictures.disk(number)
        pictures.save(tmp_path / "rgb" / "imagesTr" / f"a_{number}_0000.png", picture)
        for channel in range(2):
            pictures.save(tmp_path / "gray" / "imagesTr" / f"a_{number}_{channel:04d}.png", picture[..., channel])
        for name in ("rgb", "gray"):
            pictures.save(tmp_path / name / "labelsTr" / f"a_{number}.png", mask // 255)
    labels = {"labels": {"background": 0, "disk": 1}, "ending": ".png"}
    for name, channels in (("rgb", ("R", "G", "B")), ("gray", ("A", "B"))):
        dataset = read(write_nnunet(tmp_path / name, channels=channels, labeled=0, numTraining=2, **labels))
        case = dataset.cases()[1]
        image = dataset.read_image(case).array
        np.testing.assert_array_equal(image[:, :, :, 0].T, pictures.disk(1)[0][..., : len(channels)])
        np.testing.assert_array_equal(dataset.read_label(case).array[:, :, 0].T, pictures.disk(1)[1] // 255)
        assert dataset.notes() == ()


def test_a_patient_with_several_scans(tmp_path):
    dataset = read(write_nnunet(tmp_path), patient="(x)_")
    assert {case.patient for case in dataset.cases()} == {"x"}
    assert "dataset.patient '(y)_' does not match its id" in refusal(read(tmp_path, patient="(y)_").cases)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"file_ending": ".b2nd"}, "its images are .b2nd files, which are not supported\n"),
        ({"channel_names": ["CT"]}, '"channel_names" is missing or not understood\n'),
        ({"labels": {"background": 1, "a": 2}}, "the label background is [1]\n"),
        ({"labels": {"background": 0, "a": 1, "b": 1}}, "several labels have the value 1\n"),
        ({"labels": {"background": 0, "a": [0, 1]}}, "regions contain the background (0): a\n"),
        ({"labels": {"background": 0}}, "its labels have no foreground\n"),
        ({"labels": {"background": 0, "a": 1, "ignore": [2, 3]}}, "the label ignore is a list\n"),
        ({"labels": {"background": 0, "a": 1.5}}, '"labels" is missing or not understood\n'),
        ({"labels": None}, '"labels" is missing or not understood\n'),
        ({"dataset": {"a": {"images": "a.nii.gz"}}}, '"dataset" is not understood\n'),
        ({"labels": {"all": [1, 2], "a": 1}, "regions_class_order": [1]}, '"regions_class_order" is [1], but there'),
    ],
)
def test_what_is_not_understood_is_said(tmp_path, changes, told):
    assert told in refusal(read(write_nnunet(tmp_path, **changes)).info)


def test_a_custom_reader_is_not_used(tmp_path):
    root = write_nnunet(tmp_path, overwrite_image_reader_writer="NibabelIO")
    assert read(root).notes() == ()
    write_nnunet(tmp_path, overwrite_image_reader_writer="MyIO")
    assert read(root).notes() == ("dataset.json names the reader MyIO, but semiseg reads the files itself",)


def test_folds_are_the_validation_cases_of_splits_final(tmp_path):
    root = write_nnunet(tmp_path / "raw")
    assert read(root).folds() is None
    write_folds(root, ["x_2"], ["x_0", "x_1"])
    assert read(root).folds() == (("x_2",), ("x_0", "x_1"))
    assert read(root).notes() == ()
    elsewhere = write_folds(tmp_path / "pre", ["x_0"], ["x_1"], ["x_2"])
    assert read(root, splits=elsewhere).folds() == (("x_0",), ("x_1",), ("x_2",))


def test_folds_that_validate_a_case_twice_or_never_are_refused(tmp_path):
    root = write_nnunet(tmp_path)
    (root / "labelsTr" / "x_2.nii.gz").unlink()
    folds = [
        {"train": ["x_1", "x_9"], "val": ["x_1"]},
        {"train": ["x_1"], "val": ["x_1", "x_2"]},
        {"train": [], "val": []},
    ]
    write_json(root / "splits_final.json", folds)
    dataset = read(root)
    told = refusal(dataset.folds)
    for what in (
        "2 cases in it without image and label: x_2, x_9\n",
        "1 case is in train and val of one fold: x_1\n",
        "1 case is validated more than once: x_1\n",
        "1 case is validated in no fold: x_0\n",
        "no case is validated in fold 2\n",
    ):
        assert what in told
    assert dataset.notes()[-1].startswith("splits_final.json cannot be used as folds: 2 cases in it without image")
    (root / "splits_final.json").write_text('{"train": []}')
    assert "it is not a list of folds with train and val\n" in refusal(dataset.folds)
    assert "cannot be used as folds: it is not a list of folds" in dataset.notes()[-1]
    assert "file not found" in refusal(read(root, splits=root / "no.json").folds)


def test_folds_that_train_on_fewer_cases_are_noted(tmp_path):
    root = write_nnunet(tmp_path)
    folds = [
        {"train": ["x_1"], "val": ["x_0"]},
        {"train": ["x_0", "x_2"], "val": ["x_1"]},
        {"train": [], "val": ["x_2"]},
    ]
    write_json(root / "splits_final.json", folds)
    assert read(root).folds() == (("x_0",), ("x_1",), ("x_2",))
    assert read(root).notes() == (
        "splits_final.json leaves training cases out of folds 0, 2; only its validation lists are read, and the other"
        " cases of a fold are its training cases",
    )


def test_new_cases_need_no_numbers_with_one_channel(tmp_path):
    dataset = read(write_nnunet(tmp_path / "raw", test=2))
    assert [case.id for case in dataset.new_cases([tmp_path / "raw" / "imagesTs"])] == ["t_0", "t_1"]
    path = made.save(tmp_path / "new.nii.gz", made.image())
    assert [case.id for case in dataset.new_cases([path])] == ["new"]


def test_the_raw_folder_itself_lists_its_datasets(tmp_path):
    for name in ("Dataset001_A", "Dataset002_B"):
        write_nnunet(tmp_path / name)
    told = refusal(recognize, tmp_path)
    assert "contains several datasets:\n      nnunet: Dataset001_A, Dataset002_B\n" in told
    assert f"semiseg init {tmp_path}/Dataset001_A" in told


def test_a_decathlon_with_nnunet_s_keys_stays_one(tmp_path):
    root = made.write_decathlon(tmp_path, modality=None, channel_names={"0": "MR"})
    assert recognize(root)["name"] == "decathlon"
    for folder in ("imagesTr", "imagesUn"):
        for path in (root / folder).iterdir():
            path.rename(path.with_name(path.name.replace(".nii.gz", "_0000.nii.gz")))
    assert recognize(root)["name"] == "nnunet"
    assert json.loads((root / "dataset.json").read_text())["training"]
    assert [case.id for case in read(root).cases() if case.label] == ["part_0", "part_1"]
