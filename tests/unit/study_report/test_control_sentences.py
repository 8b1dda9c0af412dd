"""Whether unlabeled cases helped, or the method by itself: what a report says first."""

import pytest
from helpers_study import arm, flat, study

from semiseg.study_report.findings import findings
from semiseg.study_report.study_controls import controlled
from semiseg.study_report.study_metric import study_metric
from semiseg.study_report.summary_json import numbers
from semiseg.study_report.text.headlines import headlines


def seeds(value, n=3):
    return [flat(value)] * n


def results(*cps, setting=""):
    """Supervised: 0.5 and 0.6 with 4 and 8 labels, 0.9 with all 32, beside these arms."""
    supervised = [arm("supervised", n, *seeds(value), setting=setting) for n, value in ((4, 0.5), (8, 0.6), (32, 0.9))]
    return study(*supervised, *cps, training_cases=32)


def cps(labeled, value, total=32, n=3, **more):
    return arm("cps", labeled, *seeds(value, n), total=total, **more)


def said(found):
    metric = study_metric(found, found.metrics[0])
    return headlines(found, findings(found, metric), metric, "last")


def line(found, start):
    (only,) = (one for one in said(found) if one.startswith(start))
    return only


def test_better_than_the_baseline_by_the_method_alone():
    """With 4 labels the control gains as much as the method; with 8 nobody knows."""
    found = results(cps(4, 0.7), cps(4, 0.7, total=4), cps(8, 0.75))
    assert said(found)[1:3] == (
        "Did the method help? cps compared with supervised, by Dice: better with 4, 8 labels "
        "(Dice +0.150 to +0.200; intervals for each count below).",
        "Did the unlabeled cases help? cps compared with its control, the same without unlabeled cases, by Dice: with "
        "4 labels not significantly different (0.000, 95 % interval 0.000 to 0.000); with 8 labels there is no "
        "control.",
    )
    assert line(found, "Without unlabeled cases") == (
        "Without unlabeled cases, cps compared with supervised with 4 labels: Dice +0.200."
    )
    assert not any(one.startswith("No control") for one in said(found))


def test_the_control_wins_where_unlabeled_cases_do_harm():
    found = results(cps(4, 0.7), cps(4, 0.6, total=4), cps(8, 0.7), cps(8, 0.75, total=8))
    assert line(found, "Did the unlabeled cases help?").endswith(
        "by Dice: with 4 labels better (+0.100, 95 % interval +0.100 to +0.100); "
        "with 8 labels worse (-0.050, 95 % interval -0.050 to -0.050)."
    )
    assert "over 2 comparisons (with controls: over 2) below" in line(found, "How certain?")


def test_a_method_without_any_control_is_said_to_have_none():
    start = "No control: no scored model of"
    assert line(results(cps(4, 0.7)), start).startswith(f"{start} cps was trained on the labeled cases alone, ")
    both = results(cps(4, 0.7), cps(4, 0.6, total=4), arm("teacher", 4, *seeds(0.6), total=32))
    assert line(both, start).startswith(f"{start} teacher was trained on")
    assert not any(one.startswith(start) for one in said(results(arm("ensemble", 4, *seeds(0.6)))))


def test_settings_are_named():
    found = results(cps(4, 0.7, setting="unet"), cps(4, 0.6, total=4, setting="unet"), setting="unet")
    assert "help? cps (unet) compared with its control" in line(found, "Did the unlabeled cases help?")
    assert "cases, cps (unet) compared with supervised" in line(found, "Without unlabeled cases")


def test_other_seeds_are_other_labeled_sets():
    found = results(cps(4, 0.7), cps(4, 0.6, total=4, n=2))
    assert "+0.100, seeds 2/3: not the same labeled sets)" in line(found, "Did the unlabeled cases help?")


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ([0.5], "not significantly different (+0.100, no interval from one case)"),
        ([float("nan")], "not significantly different (no case has values of both)"),
    ],
)
def test_what_has_no_interval_is_said_to_have_none(method, told):
    found = study(
        arm("supervised", 4, {"core": [0.3]}),
        arm("cps", 4, {"core": [0.4]}),
        arm("cps", 4, {"core": method}, total=32),
        training_cases=32,
    )
    assert f"with 4 labels {told}." in line(found, "Did the unlabeled cases help?")


def test_other_metrics_are_told_in_short():
    def with_distance(one, value):
        distances = arm(one.method, one.labeled, *seeds(value), total=one.total, metric="hd95", unit="mm").runs
        for run, other in zip(one.runs, distances, strict=True):
            run.scores.update(other.scores)
        return one

    made = results(cps(4, 0.7), cps(4, 0.6, total=4))
    for one in made.arms:
        with_distance(one, 5 if one.total == 32 else 6)
    assert line(made, "HD95") == (
        "HD95: compared with supervised, better in 1 of 1 comparison; "
        "compared with controls, better in 1 of 1 comparison."
    )


def test_the_record_has_differences_verdicts_and_what_is_missing():
    found = results(cps(4, 0.6), cps(4, 0.7, total=4), cps(8, 0.75))
    metric = study_metric(found, "dice")
    (one,) = numbers((), controlled(found, metric), (), metric)["controls"]
    (difference,) = one["differences"]
    assert (one["method"], one["no_control"], difference["labeled"]) == ("cps", [8], 4)
    assert (difference["difference"], difference["verdict"]) == (pytest.approx(-0.1), "worse")
    assert difference["p_adjusted"] == pytest.approx(2 / 2**8)
