"""Studies whose models have not learned to segment: what is withheld, and what is said instead."""

import json

import pytest
from helpers_study import arm, flat, study

from semiseg.study_report.findings import findings, next_labels
from semiseg.study_report.study_controls import controlled
from semiseg.study_report.study_metric import study_metric
from semiseg.study_report.summary_json import numbers
from semiseg.study_report.tables.study_tables import study_tables
from semiseg.study_report.text.headlines import headlines
from semiseg.study_report.text.sentences import savings_sentences
from semiseg.study_report.untrained import pair_maker


def supervised(**dice):
    """By labeled cases, of two seeds."""
    return [arm("supervised", int(n[1:]), flat(value), flat(value)) for n, value in dice.items()]


def cps(**dice):
    return [arm("cps", int(n[1:]), flat(value), flat(value), total=32) for n, value in dice.items()]


class Reported:
    """What a report holds of these arms."""

    def __init__(self, *arms):
        results = study(*arms, training_cases=32)
        metric, make = study_metric(results, "dice"), pair_maker(results)
        self.findings, controls = findings(results, metric, make), controlled(results, metric, make)
        self.said = headlines(results, self.findings, metric, "last", make)
        self.details = [
            *savings_sentences(self.findings, "supervised"),
        ]
        self.following = next_labels(results, metric)
        self.record = numbers(self.findings, controls, self.following, metric)
        self.tables = {table.key: table for table in study_tables(results, make)}

    def column(self, table, name):
        found = self.tables[table]
        return [row[found.columns.index(name)] for row in found.rows]


def test_where_no_model_has_learned_that_is_all_that_is_said():
    control = arm("cps", 4, flat(0.06), flat(0.06))
    found = Reported(*supervised(_4=0.05, _8=0.09), *cps(_4=0.08, _8=0.095), control)
    assert found.said == (
        "10 models with scores, 2 seeds, 8 test cases, last weights.",
        "No model here has learned to segment: the best baseline, supervised with 8 labels, has a Dice of 0.09 "
        "(up to 0.1 may be chance). No conclusions are drawn. Train longer.",
    )
    assert found.details == ["Not computed for cps: no supervised model has learned to segment"]
    neither = "not judged: neither has learned to segment"
    assert [cell.text for cell in found.column("compared_dice", "verdict")] == [neither, neither]
    assert [cell.text for cell in found.column("control_dice", "verdict")] == [neither, "no control"]
    assert found.following == ()
    (finding,) = found.record["answers"]
    assert (finding["label_savings"], finding["gap_closed"], finding["power"]) == ([], [], [])
    for text in (json.dumps(found.record), str(found.said)):
        assert "better" not in text
    assert {one["verdict"] for one in finding["differences"]} == {"not judged"}


def test_the_same_differences_above_chance_are_judged():
    """What is withheld above is not withheld for other reasons."""
    found = Reported(*supervised(_4=0.15, _8=0.19), *cps(_4=0.18, _8=0.195))
    assert found.said[1].startswith(
        "Did the method help? cps compared with supervised, by Dice: better with 4, 8 labels"
    )
    assert [one.labeled for one in found.findings[0].savings] == [4, 8]
    assert found.following
    assert "not judged" not in str(found.record)


@pytest.mark.parametrize(("dice", "judged"), [(0.099, False), (0.101, True)])
def test_the_threshold_is_a_dice_of_a_tenth(dice, judged):
    found = Reported(*supervised(_4=0.05), *cps(_4=dice), *supervised(_8=0.5))
    (verdict,) = (one["verdict"] for one in found.record["answers"][0]["differences"])
    assert verdict == ("better" if judged else "not judged")


def test_a_count_at_which_neither_has_learned_is_not_judged_and_the_others_are():
    found = Reported(*supervised(_2=0.03, _8=0.5, _16=0.6, _32=0.8), *cps(_2=0.09, _8=0.55))
    assert found.said[1:3] == (
        "With 2 labels neither cps nor supervised has learned to segment: the best model has a Dice of 0.09 (up to "
        "0.1 may be chance). No conclusions are drawn there. Train longer.",
        "Did the method help? cps compared with supervised, by Dice: better with 8; not judged with 2 labels "
        "(Dice +0.050; intervals for each count below).",
    )
    (finding,) = found.findings
    assert [one.labeled for one in finding.savings] == [8]
    assert [one.labeled for one in finding.gaps] == [8]
    assert [labeled for labeled, *_ in finding.power] == [8]
    assert [cell.text for cell in found.column("compared_dice", "verdict")] == [
        *("–", "not judged: neither has learned to segment", "better", "–")
    ]
    assert [cell.bold for cell in found.column("compared_dice", "gain %")][1:3] == [False, True]
    assert any(
        "Not judged: neither has learned to segment (mean Dice up to 0.1)." in n
        for n in found.tables["compared_dice"].notes
    )


def test_a_method_that_learned_beside_a_baseline_that_did_not_is_no_success():
    found = Reported(*supervised(_4=0.05), *cps(_4=0.5))
    assert found.said[1:] == (
        "The baseline has not learned to segment: the best, supervised with 4 labels, has a Dice of 0.05 (up to "
        "0.1 may be chance). No conclusions are drawn about methods compared with it. cps with 4 labels has 0.50, but "
        "nothing to be compared with. Train longer, or with more labels.",
    )
    (verdict,) = found.column("compared_dice", "verdict")
    assert verdict.text == "not judged: the baseline has not learned to segment"


def test_a_method_that_did_not_learn_beside_a_baseline_that_did_is_worse():
    found = Reported(*supervised(_4=0.5, _8=0.6), *cps(_4=0.05))
    assert "by Dice: worse with 4 labels" in found.said[1]
    assert found.findings[0].savings == ()


def test_one_seed_that_has_learned_is_enough_to_be_judged():
    arms = arm("supervised", 4, flat(0.02), flat(0.6)), arm("cps", 4, flat(0.02), flat(0.7), total=32)
    assert "not judged" not in str(Reported(*arms).record)


def test_a_control_without_training_is_not_told_to_have_been_beaten():
    control = arm("cps", 4, flat(0.03), flat(0.03))
    found = Reported(*supervised(_4=0.05, _8=0.5), *cps(_4=0.08, _8=0.6), control)
    (line,) = (line for line in found.said if line.startswith("Did the unlabeled cases help?"))
    assert "with 4 labels not judged, since neither has learned to segment; with 8 labels there is no control" in line
    assert not any(line.startswith("Without unlabeled cases") for line in found.said)


def test_settings_are_judged_by_their_own_baseline():
    arms = [
        arm("supervised", 4, flat(0.5), setting="unet"),
        arm("cps", 4, flat(0.6), total=32, setting="unet"),
        arm("supervised", 4, flat(0.05), setting="unetr"),
        arm("cps", 4, flat(0.6), total=32, setting="unetr"),
    ]
    found = Reported(*arms)
    assert found.said[1].startswith(
        "The baseline has not learned to segment: the best, supervised (unetr) with 4 labels"
    )
    assert "cps (unet) compared with supervised, by Dice: better with 4 labels" in found.said[2]
    assert (
        found.said[3] == "Did the method help? cps (unetr) compared with supervised, by Dice: not judged with 4 labels."
    )
