"""A study's tables: hand-computed, and what becomes of arms that are missing."""

import math

import pytest
from helpers_study import arm, flat, run, study

from semiseg.errors import DataError
from semiseg.study_report.results import StudyArm
from semiseg.study_report.tables.study_tables import study_tables

DASH = "–"
DISTANCE = {"metric": "hd95", "unit": "mm"}


def tables(*arms, **more):
    return {table.key: table for table in study_tables(study(*arms, **more))}


def cell(table, column, row=0):
    return table.rows[row][table.columns.index(column)]


def texts(table, *columns):
    """The text of these columns, by row."""
    return [tuple(row[table.columns.index(column)].text for column in columns) for row in table.rows]


def test_dice_by_hand():
    found = tables(arm("supervised", 12, flat(0.5)), arm("cps", 12, flat(0.6), total=1050))
    table = found["compared_dice"]
    assert table.columns == (
        *("labeled", "cases in all", "baseline mean", "method mean", "gain %", "difference (95 % interval)", "p"),
        *("verdict", "n", "seeds"),
        *("necrosis", "necrosis gain %", "edema", "edema gain %", "enhancing", "enhancing gain %"),
    )
    assert texts(table, "baseline mean", "method mean", "edema") == [("0.500", "0.600", "0.500/0.600")]
    assert (cell(table, "gain %").text, cell(table, "gain %").bold) == ("+20.0", True)
    assert cell(table, "difference (95 % interval)").text == "+0.100 (+0.100 to +0.100)"
    assert cell(table, "p").value == pytest.approx(2 / 2**8)  # eight cases, all signs alike
    assert texts(table, "labeled", "cases in all", "n", "seeds") == [("12", "1050", "8", "1")]


def test_lower_is_better_for_distances():
    found = tables(arm("supervised", 12, flat(20), **DISTANCE), arm("cps", 12, flat(15), total=1050, **DISTANCE))
    table = found["compared_hd95"]
    assert {key: t.title for key, t in found.items()} == {
        "compared_hd95": "HD95 [mm] on the test cases, supervised/cps, lower is better",
        "classes_hd95": "HD95 [mm] on the test cases, by class, lower is better",
        "arms_hd95": "HD95 [mm] of all arms, lower is better",
    }
    assert texts(table, "baseline mean", "method mean", "verdict") == [("20.00", "15.00", "better")]
    assert (cell(table, "reduction %").text, cell(table, "reduction %").bold) == ("+25.0", True)  # (20 - 15) / 20
    assert any("negative is better" in note for note in table.notes)
    assert cell(table, "difference (95 % interval)").text == "-5.00 (-5.00 to -5.00)"


def test_only_improvements_are_bold():
    worse = flat(0.6) | {"edema": flat(0.4)["edema"]}
    table = tables(arm("supervised", 12, flat(0.5)), arm("cps", 12, worse, total=1050))["compared_dice"]
    assert [c.text for c in table.rows[0] if c.bold] == ["+6.7", "+20.0", "+20.0"]
    assert (cell(table, "edema gain %").text, cell(table, "edema gain %").bold) == ("-20.0", False)


def test_settings_are_blocks_with_the_fully_labeled_baseline_on_top():
    arms = [
        arm(method, labeled, flat(value), total=total, setting=setting)
        for setting in ("unet", "unetr")
        for method, labeled, total, value in (
            ("supervised", 12, 12, 0.5),
            ("supervised", 25, 25, 0.6),
            ("supervised", 1050, 1050, 0.8),
            ("cps", 12, 1050, 0.6),
            ("cps", 25, 1050, 0.63),
        )
    ]
    table = tables(*arms)["compared_dice"]
    rows = [("1050", "0.800", DASH, DASH), ("12", "0.500", "0.600", "+20.0"), ("25", "0.600", "0.630", "+5.0")]
    assert texts(table, "setting", "labeled", "baseline mean", "method mean", "gain %") == [
        (s, *row) for s in ("unet", "unetr") for row in rows
    ]
    assert cell(table, "p", row=1).value == pytest.approx(4 * 2 / 2**8)  # Holm: four tests in the table
    assert cell(table, "p").text == cell(table, "verdict").text == DASH
    assert any("over the 4 tests" in note and "networks as trained" in note for note in table.notes)


def test_several_methods_have_a_row_each():
    table = tables(
        arm("supervised", 12, flat(0.5)),
        arm("cps", 12, flat(0.6), total=50),
        arm("mean_teacher", 12, flat(0.55), flat(0.55), total=50),
    )["compared_dice"]
    assert texts(table, "method", "method mean", "gain %", "seeds") == [
        ("cps", "0.600", "+20.0", "1"),
        ("mean_teacher", "0.550", "+10.0", "1/2 (differ)"),
    ]
    assert any("one seed" in note for note in table.notes)


def test_an_arm_without_its_counterpart_stands_alone():
    table = tables(
        arm("supervised", 12, flat(0.5)),
        arm("cps", 12, flat(0.6), total=50),
        arm("supervised", 25, flat(0.7)),
        arm("cps", 40, flat(0.8), total=50),
    )["compared_dice"]
    assert texts(table, "labeled", "baseline mean", "method mean", "p")[1:] == [
        ("25", "0.700", DASH, DASH),
        ("40", DASH, "0.800", DASH),
    ]
    assert cell(table, "p").value == pytest.approx(2 / 2**8)  # one test


def test_an_arm_without_unlabeled_cases_is_not_the_method():
    found = tables(
        arm("supervised", 12, flat(0.5)),
        arm("supervised", 25, flat(0.6)),
        arm("cps", 12, flat(0.4)),
        arm("cps", 12, flat(0.6), total=50),
        arm("cps", 25, flat(0.55)),
    )
    assert texts(found["compared_dice"], "labeled", "baseline mean", "method mean") == [
        ("12", "0.500", "0.600"),
        ("25", "0.600", DASH),
    ]
    assert texts(found["totals_dice"], "labeled", "unlabeled", "baseline mean", "method mean", "gain %") == [
        ("12", "0", "0.500", "0.400", "-20.0"),
        ("12", "38", "0.500", "0.600", "+20.0"),
        ("25", "0", "0.600", "0.550", "-8.3"),
    ]


def test_arms_by_hand():
    table = tables(arm("supervised", 12, flat(0.5), flat(0.6)), arm("cps", 12, flat(0.7), total=50))["arms_dice"]
    assert texts(table, "method", "labeled", "cases in all", "seeds", "mean ± sd", "n") == [
        ("cps", "12", "50", "1", "0.700", "8"),
        ("supervised", "12", "12", "2", "0.550 ± 0.071", "8"),  # sd: 0.1 / sqrt(2)
    ]


def test_intervals_are_over_seeds_too():
    table = tables(arm("supervised", 12, {"core": [0.5] * 8}, {"core": [0.6] * 8}))["arms_dice"]
    assert cell(table, "95 % interval").text == "0.500 to 0.600"  # a quarter of the samples has the one seed alone


def test_classes_have_intervals_of_their_own():
    found = tables(arm("supervised", 12, flat(0.5)), arm("cps", 12, flat(0.6), total=50))
    assert texts(found["classes_dice"], "class", "gain %", "difference (95 % interval)") == [
        (name, "+20.0", "+0.100 (+0.100 to +0.100)") for name in ("necrosis", "edema", "enhancing")
    ]


def test_one_class_has_no_mean_beside_it():
    table = tables(arm("supervised", 12, flat(0.5, ["core"])), arm("cps", 12, flat(0.6, ["core"]), total=50))
    assert table["compared_dice"].columns[2:5] == ("baseline mean", "method mean", "gain %")
    assert table["compared_dice"].columns[-1] == "seeds"


@pytest.mark.parametrize(("policy", "mean"), [("image_diagonal", "55.00"), ("exclude", "10.00")])
def test_missed_structures_count_as_the_policy_says(policy, mean):
    missed = {"core": [10.0, math.inf]}  # the diagonal is 100
    table = tables(arm("supervised", 12, missed, **DISTANCE), policy=policy)["arms_hd95"]
    assert cell(table, "mean ± sd").text == mean


def test_a_study_of_the_baseline_alone_compares_nothing():
    assert list(tables(arm("supervised", 12, flat(0.5)))) == ["arms_dice"]


def test_runs_on_other_cases_are_refused():
    fewer = StudyArm("", "cps", 12, 50, (run(flat(0.6, cases=7)),))
    with pytest.raises(DataError, match="7"):
        tables(arm("supervised", 12, flat(0.5)), fewer)
