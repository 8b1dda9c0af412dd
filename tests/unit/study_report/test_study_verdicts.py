"""What a study's tables may say of a difference: verdicts, bold print, and what is said below."""

import math

import pytest
from helpers_scores import score
from helpers_study import arm, flat, joined, study

from semiseg.study_report.results import StudyArm
from semiseg.study_report.study_metric import study_metric
from semiseg.study_report.study_pairs import adjusted_p, pairs, verdict_on
from semiseg.study_report.tables.study_tables import study_tables

DISTANCE = {"metric": "hd95", "unit": "mm"}


def tables(*arms, **more):
    return {table.key: table for table in study_tables(study(*arms, **more))}


def cell(table, column, row=0):
    return table.rows[row][table.columns.index(column)]


def beside(values, **more):
    """A study of one class in which the baseline has 0.5 in all cases."""
    baseline = {"core": [0.5] * len(values)}
    return study(arm("supervised", 12, baseline, **more), arm("cps", 12, {"core": values}, total=50, **more))


def verdict(results, name="dice", p=None):
    metric = study_metric(results, name)
    (pair,) = pairs(results, metric)
    return verdict_on(pair, adjusted_p([pair])[0] if p is None else p, metric)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.6] * 8, "better"),  # p is 2 / 2^8
        ([0.4] * 8, "worse"),
        ([0.6] * 5, "not significantly different"),  # p is 2 / 2^5 = 0.0625, whatever the interval
        ([0.6] * 4 + [0.4] * 4, "not significantly different"),
        ([0.5] * 8, "not significantly different"),
        ([0.501] * 19 + [0.0], "mixed"),  # nearly all ranks are for it, the mean is not: 19 * 0.001 - 0.5
        (
            [0.501] * 19 + [0.49],
            "not significantly different",
        ),  # p is small, but a sample that draws the loss twice is below 0
    ],
)
def test_verdicts(values, said):
    assert verdict(beside(values)) == said


def test_lower_distances_are_better():
    assert verdict(beside([0.4] * 8, **DISTANCE), "hd95") == "better"


def test_a_verdict_needs_a_small_p_too():
    assert verdict(beside([0.6] * 8), p=0.05) == "not significantly different"


def test_a_gain_is_bold_where_its_interval_excludes_0():
    gains = [0.6] * 4 + [0.45] * 4
    for values, bold in (([0.6] * 8, True), (gains, False), ([0.4] * 8, False)):
        found = {table.key: table for table in study_tables(beside(values))}
        assert cell(found["compared_dice"], "gain %").bold is cell(found["classes_dice"], "gain %").bold is bold
    assert any("bold: better, and the interval of the difference excludes 0" in n for n in found["classes_dice"].notes)


def test_one_seed_is_about_two_networks():
    def note(seeds):
        arms = (arm("supervised", 12, *[flat(0.5)] * seeds), arm("cps", 12, *[flat(0.6)] * seeds, total=50))
        return next(n for n in tables(*arms)["compared_dice"].notes if n.startswith("Verdict"))

    assert note(1).endswith("with one seed: for these two networks only.")
    assert "one seed" not in note(2)


def test_other_seeds_are_other_labeled_sets():
    three = arm("supervised", 12, flat(0.5), flat(0.5), flat(0.5))
    two = arm("cps", 12, flat(0.6), flat(0.6), total=50)
    others = StudyArm("", "cps", 25, 50, tuple(joined([r.scores.values()], r.seed + 1) for r in two.runs))
    table = tables(three, two, arm("supervised", 25, flat(0.5), flat(0.5)), others)["compared_dice"]
    assert [cell(table, "seeds", row).text for row in (0, 1)] == ["3/2 (differ)", "2/2 (differ)"]
    assert "Seeds 3/2, 2/2: not the same labeled sets." in table.notes


def counted(method, statuses, total=None):
    """An arm with a seed for each row of statuses: a case each of the class core."""
    values = {"ok": 10.0, "missed": math.inf, "spurious": math.inf, "both_empty": math.nan}
    runs = [
        joined([[score(str(i), values[s], status=s, definition="hd95 1", **DISTANCE) for i, s in enumerate(row)]], seed)
        for seed, row in enumerate(statuses, start=1)
    ]
    return StudyArm("", method, 12, total or 12, tuple(runs))


@pytest.mark.parametrize(
    ("policy", "left_out", "n"),
    [
        ("image_diagonal", "2", "3"),  # case 3, of both seeds
        ("exclude", "6", "1"),  # cases 1, 2 and 3, of both seeds
    ],
)
def test_missed_structures_and_values_left_out_are_counted(policy, left_out, n):
    baseline = counted("supervised", [["ok", "missed", "ok", "both_empty"], ["ok", "missed", "spurious", "ok"]])
    method = counted("cps", [["ok", "ok", "missed", "both_empty"], ["ok", "ok", "ok", "both_empty"]], total=50)
    found = tables(baseline, method, policy=policy)
    arms = found["arms_hd95"]
    texts = [cell(arms, title, row=1).text for title in ("missed", "spurious", "left out", "n")]
    assert texts == ["2", "1", left_out, n]
    assert cell(found["compared_hd95"], "missed (baseline/method)").text == "2/1"
    assert any("sums over the arm's seeds and classes" in note for note in arms.notes)
