"""Rows of expected Dice: what they say, their order, their file, and their calibration's."""

import csv

import numpy as np
import pytest

from semiseg.errors import RunError
from semiseg.quality.agreement import Structure
from semiseg.quality.calibration import Calibration, Key, MeasuredCase, read_calibration, write_calibration
from semiseg.quality.expected import (
    COLUMNS,
    Measured,
    Quality,
    as_text,
    expected,
    in_words,
    read_measured,
    worst_first,
    write_quality,
)
from semiseg.quality.unlike import KnownCases
from semiseg.runs.folder import RunFolder

STRUCTURES = (Structure("liver", "class", (1,), (1,)), Structure("tumor", "class", (2,), (2,)))


def key(**changed):
    given = {"checkpoint": "best", "weights": "w", "mirrored_axes": ((),), "largest": (), **changed}
    return Key(**given)


def calibration(n=12, tumors=12, known=None, **changed):
    """Liver: Dice is the agreement less 0.1; the tumor is in some of the cases alone."""
    cases = [
        MeasuredCase(
            case=f"c{i}",
            patient=f"p{i}",
            agreement={"liver": 0.8 + i / 100, "tumor": 0.5 + i / 100 if i < tumors else None},
            dice={"liver": 0.7 + i / 100, "tumor": 0.4 + i / 100 if i < tumors else None},
        )
        for i in range(n)
    ]
    return Calibration.of(key(**changed), STRUCTURES, cases, known, "" if known else "no features")


def test_expected_dice_and_notes():
    liver, tumor = expected("new", Measured({"liver": 0.85, "tumor": 0.45}), calibration())
    assert (liver.expected_dice, liver.low, liver.high) == pytest.approx((0.75, 0.75, 0.75))
    assert liver.note == ""
    assert tumor.expected_dice == pytest.approx(0.35)
    assert tumor.note == "agreement below the lowest of the validation cases, 0.500: extrapolated"
    _, missing = expected("new", Measured({"liver": 0.85, "tumor": None}), calibration())
    assert (missing.expected_dice, missing.note) == (None, "nothing predicted, unlike in every validation case")
    _, missing = expected("new", Measured({"liver": 0.85, "tumor": None}), calibration(tumors=11))
    assert missing.note == "nothing predicted"
    _, few = expected("new", Measured({"liver": 0.85, "tumor": 0.5}), calibration(tumors=9))
    assert few.expected_dice is None
    assert few.note == "9 validation patients with a prediction of it; at least 10 are needed"


def test_a_case_unlike_the_known_ones_is_not_scored():
    names = [f"k{i}" for i in range(20)]
    known = KnownCases.of(names, names, list(np.random.default_rng(0).normal(size=(20, 3))))
    measured = {"liver": 0.85, "tumor": 0.55}
    for likeness, scored in ((1 / 21, False), (2 / 21, True), (None, True)):
        rows = expected("new", Measured(measured, likeness), calibration(known=known))
        assert all((row.expected_dice is not None) == scored for row in rows)
        assert all(row.note.startswith("unlike the training cases") != scored for row in rows)
        assert rows[0].agreement == 0.85


def row(case, structure, dice, note=""):
    ends = (None, None) if dice is None else (dice - 0.1, dice + 0.1)
    return Quality(case, structure, dice, *ends, dice, None, note)


def test_the_order_in_which_to_look_at_cases():
    rows = [
        row("good", "liver", 0.9),
        row("good", "tumor", 0.8),
        row("worse", "liver", 0.5),
        row("worse", "tumor", None, "nothing predicted"),
        row("lost", "liver", 0.9),
        row("lost", "tumor", None, "nothing predicted, unlike in every validation case"),
        row("strange", "liver", None, "unlike the training cases: far"),
        row("unknown", "liver", None, "nothing predicted"),
    ]
    worst = worst_first(rows)
    assert [case for case, _ in worst] == ["strange", "lost", "worse", "good", "unknown"]
    said = {case: in_words(found) for case, found in worst}
    assert said["good"] == "liver 0.90 (0.80 to 1.00); tumor 0.80 (0.70 to 0.90)"
    assert said["worse"] == "liver 0.50 (0.40 to 0.60); tumor: nothing predicted"
    assert said["strange"] == "unlike the training cases"


def test_a_table_is_read_as_it_was_measured_without_a_line_that_was_cut(tmp_path):
    rows = [row("=1+1", "liver", 0.1 + 0.2), row("=1+1", "tumor", None, 'a, "note"'), row("b", "liver", 1 / 3)]
    write_quality(tmp_path / "quality.csv", rows)
    found = read_measured(tmp_path / "quality.csv")
    assert found == {"=1+1": Measured({"liver": 0.1 + 0.2, "tumor": None}), "b": Measured({"liver": 1 / 3})}
    text = (tmp_path / "quality.csv").read_text()
    assert next(csv.reader(text.splitlines())) == [*COLUMNS]
    for cut in range(1, len(as_text(rows[-1:]))):
        (tmp_path / "quality.csv").write_text(text[: -1 - cut])
        found = read_measured(tmp_path / "quality.csv")
        assert found.get("b", Measured({"liver": 1 / 3})) == Measured({"liver": 1 / 3})
    (tmp_path / "quality.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RunError, match="its columns are others"):
        read_measured(tmp_path / "quality.csv")


def test_calibrations_are_kept_by_weights_and_settings(tmp_path):
    folder = RunFolder(tmp_path)
    assert read_calibration(folder, key()) is None
    write_calibration(folder, calibration(), calibration(checkpoint="last", weights="v"))
    write_calibration(folder, calibration(mirrored_axes=((0, 1),)))
    assert read_calibration(folder, key()) == calibration()
    assert read_calibration(folder, key(weights="v")) is None
    assert read_calibration(folder, key(largest=("liver",))) is None
    write_calibration(folder, calibration(n=15))
    assert len(read_calibration(folder, key()).cases) == 15
    assert len(read_calibration(folder, key(mirrored_axes=((0, 1),))).cases) == 12
    folder.quality.write_text('{"calibrations": [{"key": {}}]}')
    with pytest.raises(RunError, match="is not what semiseg wrote"):
        read_calibration(folder, key())
