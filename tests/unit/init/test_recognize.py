"""Which dataset a folder is, and what is said where it is several."""

import helpers_volumes as made
import pytest

from semiseg.errors import DataError
from semiseg.init.recognize import recognize


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
