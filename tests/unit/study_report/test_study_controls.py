"""Methods compared with their controls, by hand: the effects of unlabeled cases and of the method itself."""

import csv
import io
from dataclasses import replace

import pytest
from helpers_study import arm, flat, study

from semiseg.study_report.results import StudyArm
from semiseg.study_report.study_controls import controlled, without_control, without_unlabeled
from semiseg.study_report.study_metric import study_metric
from semiseg.study_report.tables.study_tables import study_tables
from semiseg.study_report.tables.table_formats import FORMATS

DASH = "–"
DISTANCE = {"metric": "hd95", "unit": "mm"}
SUPERVISED = (arm("supervised", 4, flat(0.4)), arm("supervised", 8, flat(0.5)))


def control_table(*arms, metric="dice", **more):
    found = {table.key: table for table in study_tables(study(*arms, training_cases=50, **more))}
    return found.get(f"control_{metric}")


def texts(table, *columns):
    return [tuple(row[table.columns.index(column)].text for column in columns) for row in table.rows]


def test_a_method_beside_its_control_by_hand():
    table = control_table(*SUPERVISED, arm("cps", 4, flat(0.5)), arm("cps", 4, flat(0.6), total=50))
    assert table.title == "Dice of methods compared with their controls, which have no unlabeled cases"
    assert table.columns == (
        *("method", "labeled", "unlabeled", "control mean", "method mean", "gain %", "difference (95 % interval)"),
        *("p", "verdict", "n", "seeds"),
    )
    shown = [cell.text for cell in table.rows[0]]
    # eight cases, all signs alike: p is 2 / 2^8; (0.6 - 0.5) / 0.5 is 20 %
    assert shown == [
        *("cps", "4", "46", "0.500", "0.600", "+20.0", "+0.100 (+0.100 to +0.100)", "0.008", "better", "8", "1")
    ]
    assert len(table.rows) == 1


def test_a_method_may_beat_the_baseline_and_not_its_control():
    """The control has all of the method's gain on the baseline: what is more than that is nothing."""
    arms = (*SUPERVISED, arm("cps", 4, flat(0.6)), arm("cps", 4, flat(0.6), total=50))
    found = {table.key: table for table in study_tables(study(*arms, training_cases=50))}
    assert texts(found["compared_dice"], "labeled", "verdict")[0] == ("4", "better")
    assert texts(found["control_dice"], "difference (95 % interval)", "verdict") == [
        ("0.000 (0.000 to 0.000)", "not significantly different: p is 1.00 and the interval includes 0")
    ]


def test_a_control_that_wins_makes_the_method_worse():
    arms = (arm("cps", 4, flat(0.7)), arm("cps", 4, flat(0.6), total=50))
    table = control_table(*SUPERVISED, *arms)
    assert texts(table, "difference (95 % interval)", "verdict") == [("-0.100 (-0.100 to -0.100)", "worse")]
    distances = [replace_metric(one, value) for one, value in zip((*SUPERVISED, *arms), (20, 18, 10, 12), strict=True)]
    table = control_table(*distances, metric="hd95")
    assert texts(table, "difference (95 % interval)", "verdict") == [("+2.00 (+2.00 to +2.00)", "worse")]
    assert texts(table, "missed (control/method)") == [("0/0",)]
    assert table.title.endswith("lower is better")


def replace_metric(one, value):
    """The arm once more with a distance."""
    return arm(one.method, one.labeled, flat(value), total=one.total, **DISTANCE)


def test_where_the_control_is_missing_the_table_says_so():
    cps = (arm("cps", 4, flat(0.5)), arm("cps", 4, flat(0.6), total=50), arm("cps", 8, flat(0.65), total=50))
    table = control_table(*SUPERVISED, *cps)
    assert texts(table, "labeled", "control mean", "method mean", "gain %", "p", "verdict") == [
        ("4", "0.500", "0.600", "+20.0", "0.008", "better"),  # one test alone: nothing to correct for
        ("8", DASH, "0.650", DASH, DASH, "no control"),
    ]
    assert any(note.startswith("No control: ") for note in table.notes)
    assert any("over the 1 test of this table" in note for note in table.notes)


def test_a_control_at_another_count_is_none():
    table = control_table(*SUPERVISED, arm("cps", 8, flat(0.5)), arm("cps", 4, flat(0.6), total=50))
    assert texts(table, "labeled", "verdict") == [("4", "no control")]
    assert not any(note.startswith("p: ") for note in table.notes)


def test_holm_corrects_over_the_controls_by_themselves():
    cps = [arm("cps", n, flat(value), total=total) for n in (4, 8) for value, total in ((0.5, n), (0.6, 50))]
    table = control_table(*SUPERVISED, *cps)
    assert [row[table.columns.index("p")].value for row in table.rows] == pytest.approx([2 * 2 / 2**8] * 2)


def test_cases_and_seeds_are_paired():
    """What a seed does to both, such as the choice of the labeled cases, cancels out; with other seeds it does not."""
    control = arm("cps", 4, flat(0.5), flat(0.7), flat(0.3))
    method = arm("cps", 4, flat(0.6), flat(0.8), flat(0.4), total=50)
    table = control_table(*SUPERVISED, control, method)
    assert texts(table, "difference (95 % interval)", "seeds") == [("+0.100 (+0.100 to +0.100)", "3")]
    others = tuple(replace(run, recipe={**run.recipe, "seed": run.seed + 1}) for run in method.runs)
    table = control_table(*SUPERVISED, control, StudyArm("", "cps", 4, 50, others))
    assert texts(table, "verdict", "seeds") == [
        ("not significantly different: the interval includes 0", "3/3 (differ)")
    ]
    assert "Seeds 3/3: not the same labeled sets." in table.notes


def test_the_method_is_taken_with_the_most_cases_in_all():
    cps = [arm("cps", 4, flat(value), total=total) for value, total in ((0.5, 4), (0.9, 20), (0.6, 50))]
    assert texts(control_table(*SUPERVISED, *cps), "unlabeled", "method mean") == [("46", "0.600")]


def test_with_every_case_labeled_there_is_nothing_to_be_without():
    everything = arm("cps", 50, flat(0.7))
    results = study(*SUPERVISED, everything, arm("cps", 4, flat(0.6), total=50), training_cases=50)
    assert controlled(results, study_metric(results, "dice")) == ()
    assert without_control(results) == (("", "cps"),)


def test_methods_that_take_no_unlabeled_cases_neither_have_nor_lack_a_control():
    results = study(*SUPERVISED, arm("ensemble", 4, flat(0.6)), training_cases=50)
    metric = study_metric(results, "dice")
    assert (controlled(results, metric), without_control(results)) == ((), ())
    assert list(without_unlabeled(results, metric)) == []
    assert control_table(*SUPERVISED, arm("ensemble", 4, flat(0.6))) is None


def test_the_control_beside_the_baseline_is_what_the_method_does_by_itself():
    controls = (arm("cps", 4, flat(0.45)), arm("cps", 16, flat(0.6)))  # the baseline was not trained with 16
    results = study(*SUPERVISED, *controls, arm("cps", 4, flat(0.6), total=50), training_cases=50)
    ((setting, method, (pair,)),) = without_unlabeled(results, study_metric(results, "dice"))
    assert (setting, method, pair.baseline.method, pair.arm.total) == ("", "cps", "supervised", 4)
    assert pair.entry(pair.mean).difference == pytest.approx(0.05)


def test_settings_have_their_own_controls():
    both = [
        arm(method, 4, flat(value), total=total, setting=setting)
        for setting, control in (("unet", 0.5), ("unetr", None))
        for method, value, total in (("supervised", 0.4, 4), ("cps", control, 4), ("cps", 0.6, 50))
        if value is not None
    ]
    assert texts(control_table(*both), "setting", "method", "verdict") == [("unet", "cps", "better")]
    assert without_control(study(*both, training_cases=50)) == (("unetr", "cps"),)


def test_files_have_the_values_and_what_is_missing():
    cps = (arm("cps", 4, flat(0.5)), arm("cps", 4, flat(0.6), total=50), arm("cps", 8, flat(0.65), total=50))
    table = control_table(*SUPERVISED, *cps)
    assert FORMATS["md"](table).splitlines()[4:6] == [
        "| cps | 4 | 46 | 0.500 | 0.600 | **+20.0** | +0.100 (+0.100 to +0.100) | 0.008 | better | 8 | 1 |",
        "| cps | 8 | 42 | – | 0.650 | – | – | – | no control | 8 | 1 |",
    ]
    first, second = csv.DictReader(io.StringIO(FORMATS["csv"](table)))
    assert float(first["difference"]) == pytest.approx(0.1)
    assert (first["seeds control"], first["seeds method"], first["verdict"]) == ("1", "1", "better")
    assert (second["difference"], second["p"], second["seeds control"], second["verdict"]) == ("", "", "", "no control")
