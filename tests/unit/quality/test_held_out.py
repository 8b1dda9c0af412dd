"""Expected against true Dice, by hand."""

import pytest

from semiseg.pipeline.quality.section import quality_section
from semiseg.quality.expected import Quality
from semiseg.quality.held_out import Compared, HeldOut, held_out, read_compared, write_compared


def compared(structure, expected, dice):
    ends = (None, None) if expected is None else (expected - 0.1, expected + 0.1)
    return Compared(Quality("c", structure, expected, *ends, expected, None, ""), dice)


ROWS = [
    compared("liver", 0.5, 0.55),
    compared("liver", 0.6, 0.45),
    compared("liver", 0.7, 0.75),
    compared("liver", 0.8, 0.65),
    compared("liver", None, 0.3),
    compared("liver", 0.5, None),
    compared("tumor", 0.5, 0.5),
    compared("vessel", None, 0.5),
]


def test_figures_by_hand():
    liver, tumor = held_out(ROWS)
    # Ranks 1 2 3 4 and 2 1 4 3: Spearman's is 1 - 6 x 4 / (4 x 15).
    assert liver == HeldOut(
        "liver", 4, 1, pytest.approx(0.6), pytest.approx(0.1), pytest.approx(0.5), pytest.approx(0.2)
    )
    assert tumor == HeldOut("tumor", 1, 0, None, 0, 1, pytest.approx(0.2))


def test_rows_are_read_back(tmp_path):
    write_compared(tmp_path / "quality.csv", {"last": ROWS, "best": ROWS[:1]})
    assert read_compared(tmp_path / "quality.csv") == {"last": ROWS, "best": ROWS[:1]}


def test_a_report_shows_them():
    section = quality_section(ROWS, "last", "last = best")
    (table,), (figure,) = section.tables, section.figures
    assert [cell.text for cell in table.rows[0]] == ["liver", "4", "0.60", "0.100", "0.50", "0.200", "1"]
    assert figure.alt == (
        "Expected and true Dice of the test cases. liver: 4 cases, 2 with the true Dice within the interval."
        " tumor: 1 case, 1 with the true Dice within the interval."
    )
    assert quality_section(ROWS[-1:], "last", "last") is None
