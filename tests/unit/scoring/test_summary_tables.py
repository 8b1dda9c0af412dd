"""The summary on a terminal 80 columns wide."""

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from semiseg.scoring.score_case import Score
from semiseg.scoring.show import summary_table, worst_table
from semiseg.scoring.summary import summarize


def shown(table):
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    return console.file.getvalue()


def scores(checkpoint="best"):
    for case, value, status in (("a", 2.0, "ok"), ("b", math.inf, "missed"), ("c", math.nan, "both_empty")):
        yield Score("r", checkpoint, case, "edema", "hd95", value, "mm", status, 1, 1, 100.0)
        yield Score("r", checkpoint, case, "empty", "hd95", math.nan, "mm", "both_empty", 0, 0, 100.0)


def line(text, name):
    return next(line.split() for line in text.splitlines() if line.strip().startswith(name))


def test_numbers_and_counts_stand_in_one_line():
    text = shown(summary_table(summarize(scores())))
    expected = ["edema", "2", "51.00", "±", "69.30", "2.00–100.0", "51.00", "(26.50–75.50)", "1/0/1"]
    assert line(text, "edema") == expected
    assert line(text, "all classes") == ["all", "classes", "2", "51.00", "2.00–100.0"]
    assert "regions" not in text
    assert "best: hd95, mm" in text
    assert "count as the" in text


def test_regions_stand_below_the_classes_and_have_their_own_mean():
    regions = [replace(score, class_name=f"whole {score.class_name}", kind="region") for score in scores()]
    text = shown(summary_table(summarize([*scores(), *regions])))
    assert line(text, "whole edema")[2:5] == ["2", "51.00", "±"]
    assert text.index("all classes") < text.index("whole edema") < text.index("all regions")


def test_a_preset_is_named():
    assert "brats2023" in shown(summary_table({**summarize(scores(), "exclude"), "preset": "brats2023"}))


def test_what_does_not_exist_is_a_dash():
    text = shown(summary_table(summarize(scores())))
    assert line(text, "empty") == ["empty", "0", "–", "±", "–", "–", "–", "(–)", "0/0/3"]
    assert "nan" not in text
    assert "None" not in text


def test_every_checkpoint_and_the_policy_are_named():
    text = shown(summary_table(summarize([*scores("last"), *scores("best")], "exclude")))
    assert text.index("last: hd95") < text.index("best: hd95")
    assert "are left out" in text


def test_large_distances_leave_room_for_the_counts():
    rows = [Score("r", "last", f"{k}", "edema", "hd95", 90.0 + 2 * k, "mm", "ok", 1, 1, 400.0) for k in range(150)]
    rows += [replace(row, case=f"missed {row.case}", status="missed", value=math.inf) for row in rows]
    assert line(shown(summary_table(summarize(rows))), "edema")[-1] == "150/0/0"


def test_worst_cases():
    text = shown(worst_table(summarize(scores())))
    assert text.index(" b ") < text.index(" a ")
    assert " c " not in text


@pytest.mark.parametrize("table", [summary_table, worst_table])
def test_without_scores_there_is_an_empty_table(table):
    assert shown(table(summarize([])))


def test_the_same_weights_are_shown_once_under_both_names():
    summary = summarize([*scores("last"), *scores("best")])
    text = shown(summary_table(summary, best_is_last=True))
    assert "last = best:" in text
    assert text.count("edema") == 1
    assert shown(summary_table(summary)).count("edema") == 2
