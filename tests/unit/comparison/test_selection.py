"""``semiseg select``: the agreement of predictions by hand, which cases it chooses, and what it writes."""

import csv

import numpy as np
import pytest
from helpers_processes import run as semiseg
from helpers_reporter import Heard
from helpers_volumes import save

from semiseg.comparison.selection import select
from semiseg.errors import DataError, RunError


def label(*classes):
    """A label map of ten voxels in a row."""
    return np.array(classes, dtype=np.uint8).reshape(10, 1, 1)


A = label(1, 1, 1, 1, 2, 2, 0, 0, 0, 0)
HALF = label(1, 1, 0, 0, 2, 2, 0, 0, 0, 0)  # Dice of 1: 2 * 2 / (4 + 2), of 2: 1
NO_TWO = label(1, 1, 1, 1, 0, 0, 0, 0, 0, 0)  # 1 and 0
EMPTY = label(*[0] * 10)


@pytest.fixture
def folders(tmp_path):
    cases = {"same": (A, A, A), "half": (A, HALF, A), "gone": (NO_TWO, NO_TWO, A), "empty": (EMPTY, EMPTY, EMPTY)}
    for case, maps in cases.items():
        for folder, array in zip(("now", "before", "other"), maps, strict=True):
            save(tmp_path / folder / f"{case}.nii.gz", array)
    return tmp_path


def test_agreement_is_the_mean_dice_of_classes_that_one_of_two_has(folders):
    found = select(folders / "now", [folders / "before", folders / "other"], folders / "out", share=1)
    agreement = {one.case: one.mean for one in found}
    # half: (2/3 + 1) / 2 beside before, 1 beside other; gone: 1 beside before, which has no 2 either, then (1 + 0) / 2.
    assert agreement == pytest.approx({"empty": 1, "same": 1, "half": (5 / 6 + 1) / 2, "gone": 0.75})
    assert [one.case for one in found] == ["empty", "same", "half", "gone"]
    by_class = {one.case: dict(one.by_class) for one in found}
    assert by_class["half"] == pytest.approx({"1": (2 / 3 + 1) / 2, "2": 1})
    assert by_class["gone"] == pytest.approx({"1": 1, "2": 0})
    assert by_class["empty"] == {}


@pytest.mark.parametrize(
    ("how", "chosen"),
    [
        ({"share": 0.5}, ["empty", "same"]),
        ({"share": 0.51}, ["empty", "half", "same"]),
        ({"share": 0.01}, ["empty"]),
        ({"least": 0.75}, ["empty", "gone", "half", "same"]),
        ({"least": 0.76}, ["empty", "half", "same"]),
    ],
)
def test_files_of_the_chosen_cases_with_their_confidence(folders, how, chosen):
    for case in ("same", "gone"):
        save(folders / "now" / f"{case}_confidence.nii.gz", A.astype(np.float32) / 2)
    select(folders / "now", [folders / "before", folders / "other"], folders / "out", **how)
    files = {f"{case}.nii.gz" for case in chosen} | {f"{c}_confidence.nii.gz" for c in chosen if c in ("same", "gone")}
    assert {path.name for path in (folders / "out").iterdir()} == {*files, "selection.csv"}
    for name in files:
        assert (folders / "out" / name).read_bytes() == (folders / "now" / name).read_bytes()
    rows = list(csv.DictReader((folders / "out" / "selection.csv").read_text().splitlines()))
    assert sorted(row["case"] for row in rows if row["chosen"] == "yes") == chosen
    assert len(rows) == 4


def test_the_share_is_exact(tmp_path):
    for number in range(10):
        for folder in ("now", "before"):
            save(tmp_path / folder / f"case{number}.nii.gz", A)
    found = select(tmp_path / "now", [tmp_path / "before"], tmp_path / "out", share=0.7)  # 0.7 * 10 > 7 in binary
    assert sum(one.chosen for one in found) == 7


def test_a_case_that_a_folder_lacks_is_named_and_not_chosen(folders):
    (folders / "before" / "half.nii.gz").unlink()
    heard = Heard()
    found = select(folders / "now", [folders / "before"], folders / "out", share=1, reporter=heard)
    assert sorted(one.case for one in found) == ["empty", "gone", "same"]
    assert any("1 case without a file in" in line and "half" in line for line in heard.said)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({}, "either share or least"),
        ({"share": 0.5, "least": 0.5}, "either share or least"),
        ({"share": 0}, "share is 0"),
        ({"share": 1.5}, "share is 1.5"),
        ({"least": -0.1}, "least is -0.1"),
    ],
)
def test_what_is_asked_is_checked(folders, how, words):
    with pytest.raises(RunError, match=words):
        select(folders / "now", [folders / "before"], folders / "out", **how)
    assert not (folders / "out").exists()


def test_nothing_is_written_over(folders):
    save(folders / "out" / "mine.nii.gz", A)
    with pytest.raises(RunError, match="not an empty folder"):
        select(folders / "now", [folders / "before"], folders / "out", share=0.5)


def test_no_case_that_reaches_the_least(folders):
    for case in ("same", "empty", "half"):
        (folders / "now" / f"{case}.nii.gz").unlink()
    with pytest.raises(RunError, match=r"at least 0\.9: the highest is 0\.500"):
        select(folders / "now", [folders / "other"], folders / "out", least=0.9)


def test_no_case_in_common_and_damaged_files(folders):
    (folders / "now" / "same.nii.gz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"same\.nii\.gz"):
        select(folders / "now", [folders / "before"], folders / "out", share=0.5)
    save(folders / "elsewhere" / "third.nii.gz", A)
    with pytest.raises(DataError, match="No case is in all folders"):
        select(folders / "now", [folders / "elsewhere"], folders / "out", share=0.5)


def test_the_command(folders):
    done = semiseg(
        "select", folders / "now", "--beside", folders / "before", "--beside", folders / "other", "--share", "0.5",
        "-o", folders / "out",
    )  # fmt: skip
    assert "2 of 4 cases chosen, with an agreement of at least 1.000." in done.stdout
    assert "gone" in done.stdout
    assert "2 0.000" in done.stdout
