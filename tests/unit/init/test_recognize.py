"""Which dataset a folder is, and what is said where it is several."""

import helpers_volumes as made
import pytest

from semiseg.errors import DataError
from semiseg.init.case_notes import patient_notes, patient_pattern
from semiseg.init.recognize import recognize
from semiseg.init.two_folders import named_folders
from semiseg.registry import create


def refusal(folder):
    with pytest.raises(DataError) as caught:
        recognize(folder)
    return str(caught.value)


def test_several_datasets_are_refused_and_listed(tmp_path):
    made.write_brats(tmp_path / "brats 2018")
    made.write_brats_2023(tmp_path / "brats2023")
    made.write_decathlon(tmp_path / "msd" / "Task01")
    made.write_la2018(tmp_path / "la")
    made.write_folder(tmp_path / "mine")
    assert refusal(tmp_path) == (
        f"{tmp_path}: it is not a dataset, but contains several datasets:\n"
        "      brats: brats 2018, brats2023\n"
        "      la2018: la\n"
        "      folder: mine\n"
        "      decathlon: msd/Task01\n"
        f"    Give the folder of one, for example: semiseg init '{tmp_path}/brats 2018'"
    )


@pytest.mark.parametrize("number", ["_0000", "_0001"])
def test_labels_named_like_a_modality_are_no_reason_to_take_modalities_for_cases(tmp_path, number):
    root = made.write_folder(tmp_path, modalities=2)
    for path in (root / "labeled" / "labels").iterdir():
        path.rename(path.with_name(path.name.replace(".nii", f"{number}.nii")))
    block = recognize(root)
    assert block["modalities"] == ["modality_0", "modality_1"]
    dataset = create("dataset", block.pop("name"), block)
    assert [(case.id, case.label is None) for case in dataset.cases()] == [
        ("a_1", False),
        ("a_2", False),
        ("b_1", True),
    ]
    (note,) = [note for note in dataset.notes() if "labels named like a modality" in note]
    assert note.endswith(f"of their cases: a_1{number}.nii.gz, a_2{number}.nii.gz")


def test_ids_may_end_in_numbers_like_those_of_modalities(tmp_path):
    for number in range(4):
        made.save(tmp_path / "images" / f"scan_{number:04d}.nii.gz", made.image(number))
    for number in range(2):
        made.save(tmp_path / "labels" / f"scan_{number:04d}.nii.gz", made.label((0, 1, 2)))
    assert "modalities" not in recognize(tmp_path)


def test_two_of_one_kind_with_a_tree_of_their_own(tmp_path):
    for name in ("Task01", "Task02"):
        made.write_decathlon(tmp_path / name)
    assert "decathlon: Task01, Task02" in refusal(tmp_path)


def test_the_only_dataset_one_folder_below_is_pointed_at(tmp_path):
    made.write_decathlon(tmp_path / "Task01")
    text = refusal(tmp_path)
    assert "contains a dataset:\n      decathlon: Task01\n" in text
    assert f"semiseg init {tmp_path}/Task01" in text


def test_many_cases_are_listed_in_short(tmp_path):
    for number in range(6):
        made.write_brats_case(tmp_path, f"BraTS_{number:02d}")
    made.write_la2018(tmp_path / "la")
    assert "brats: BraTS_00, BraTS_01, BraTS_02, BraTS_03 and 2 others\n" in refusal(tmp_path)


def test_files_of_two_datasets_beside_each_other(tmp_path):
    case = made.write_brats_case(tmp_path, "BraTS_00")
    made.write_la_case(tmp_path / "x")
    for path in (*case.iterdir(), *(tmp_path / "x").iterdir()):
        path.rename(tmp_path / path.name)
    assert "Put each dataset into its own folder." in refusal(tmp_path)


def test_cases_of_one_kind_in_several_folders_are_one_dataset(tmp_path):
    """HGG and LGG of BraTS."""
    assert recognize(made.write_brats(tmp_path)) == {"name": "brats", "root": str(tmp_path)}
    (tmp_path / "LGG" / "dataset.json").write_text("{}")  # of something else: no imagesTr is beside it
    assert recognize(tmp_path)["name"] == "brats"


def test_what_lies_in_a_dataset_with_a_tree_of_its_own_is_not_looked_at(tmp_path):
    root = made.write_decathlon(tmp_path / "Task01")
    made.write_la2018(root / "imagesTr" / "more")
    assert "contains a dataset:" in refusal(tmp_path)
    assert recognize(root)["name"] == "decathlon"


def test_of_files_that_nothing_reads_some_are_named(tmp_path):
    for name in "abcde":
        made.save(tmp_path / f"{name}.nii.gz", made.image(0))
    assert "unknown layout; it contains " in refusal(tmp_path)
    assert ".nii.gz and 2 others\n" in refusal(tmp_path)


@pytest.mark.parametrize(("images", "labels"), [("Images", "Labels"), ("scans", "masks"), ("imgs", "Segmentations")])
def test_folders_of_images_and_labels_have_several_usual_names(tmp_path, images, labels):
    root = made.write_folder(tmp_path) / "labeled"
    (root / "images").rename(tmp_path / images)
    (root / "labels").rename(tmp_path / labels)
    root.rmdir()
    (tmp_path / "unlabeled" / "images").rename(tmp_path / "more")
    (tmp_path / "unlabeled").rmdir()
    block = recognize(tmp_path)
    assert (block["images"], block["labels"]) == (images, labels)
    assert "unlabeled" not in block
    dataset = create("dataset", block.pop("name"), block)
    assert [case.id for case in dataset.cases()] == ["a_1", "a_2"]
    assert f"{tmp_path / 'more'}: 1 file is not read" in dataset.notes()
    named = recognize(tmp_path, named_folders(tmp_path, images, labels, "more"))
    assert named["unlabeled"] == "more"


def unpacked(tmp_path):
    root = made.write_folder(tmp_path / "data") / "labeled"
    (root / "images").rename(tmp_path / "data" / "images")
    (root / "labels").rename(tmp_path / "data" / "labels")
    root.rmdir()
    return tmp_path / "data"


def test_images_and_labels_are_taken_beside_other_folders_that_are_noted(tmp_path):
    root = unpacked(tmp_path)
    for name in ("masks", "scans"):
        made.save(root / name / "x.nii.gz", made.image())
    block = recognize(root)
    assert (block["images"], block["labels"]) == ("images", "labels")
    notes = create("dataset", block.pop("name"), block).notes()
    assert [note for note in notes if note.endswith("1 file is not read")][:2] == [
        f"{root / 'masks'}: 1 file is not read",
        f"{root / 'scans'}: 1 file is not read",
    ]


def test_two_folders_of_labels_are_not_chosen_from(tmp_path):
    root = unpacked(tmp_path)
    (root / "labels").rename(root / "masks")
    (root / "gt").mkdir()
    text = refusal(root)
    assert "several folders may be meant: gt, masks" in text
    assert "semiseg init FOLDER --images NAME --labels NAME" in text
    assert recognize(root, named_folders(root, "images", "masks", ""))["labels"] == "masks"


def test_folders_are_named_by_paths_too_and_refused_elsewhere(tmp_path, monkeypatch):
    root = unpacked(tmp_path)
    (tmp_path / "link").symlink_to(root)
    for images in ("images", str(root / "images"), str(root / "labels" / ".." / "images")):
        assert named_folders(tmp_path / "link", images, "labels", "").images == "images"
    monkeypatch.chdir(tmp_path)
    assert named_folders(root, "data/images", "data/labels", "").options() == {"images": "images", "labels": "labels"}
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match=r"other: it is not inside .*data"):
        named_folders(root, "images", "labels", str(tmp_path / "other"))
    with pytest.raises(DataError, match="there is no such folder"):
        named_folders(root, "images", "labls", "")
    with pytest.raises(DataError, match="given twice"):
        named_folders(root, "images", "labels", "images")


def test_images_beside_their_labels_in_a_named_folder(tmp_path):
    for number in range(3):
        made.save(tmp_path / "both" / f"c{number}.nii.gz", made.image(number))
        made.save(tmp_path / "both" / f"c{number}-label.nii.gz", made.label((0, 1, 2)))
    block = recognize(tmp_path, named_folders(tmp_path, "both", "both", ""))
    cases = create("dataset", block.pop("name"), block).cases()
    assert [(case.id, case.label.name) for case in cases] == [(f"c{n}", f"c{n}-label.nii.gz") for n in range(3)]


def test_sessions_of_one_patient_stay_together():
    assert patient_pattern(["sub-01_ses-1_T1w", "sub-01_ses-2_T1w", "sub-02_T1w"]) == "^(sub-[A-Za-z0-9]+)"
    assert patient_pattern(["sub-01_T1w", "sub-01_ses-02_T1w"]) == "^(sub-[A-Za-z0-9]+)"  # only the follow-up has one
    assert patient_pattern(["pat1_ses-1", "pat1_ses-2"]) == "^(.+?)_ses-"
    assert patient_pattern(["sub-01_ses-1", "sub-02_ses-1"]) == ""  # one scan each: nothing to keep together
    assert patient_pattern(["a1", "a2"]) == ""
    some = ["pat1", "pat1_ses-2"]
    assert patient_pattern(some) == ""
    (note,) = patient_notes("folder", some, "")
    assert "pat1_ses-2 may be one scan of several; set dataset.patient" in note
    assert patient_notes("folder", ["a1", "a2"], "") == []
