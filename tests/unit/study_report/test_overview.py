"""The first screen of a study's page: the sentence, its numbers, and the table of verdicts."""

import numpy as np
import pytest
from helpers_study import arm, flat, log, study

from semiseg.study_report.findings import findings
from semiseg.study_report.overview import overview
from semiseg.study_report.study_controls import controlled
from semiseg.study_report.study_metric import study_metric
from semiseg.study_report.untrained import pair_maker


def seeds(value, noise=0.0):
    """Three seeds; with ``noise``, cases differ from seed to seed and method to method."""
    found = []
    for seed in range(3):
        values = flat(value)
        generator = np.random.default_rng([seed, round(1000 * value)])
        found.append({name: [v + noise * generator.normal() for v in row] for name, row in values.items()})
    return found


def shown(*arms, metric="dice", **more):
    results = study(*arms, training_cases=32, **more)
    chosen, make = study_metric(results, metric), pair_maker(results)
    return overview(results, findings(results, chosen, make), controlled(results, chosen, make), chosen)


SUPERVISED = [arm("supervised", n, *seeds(value)) for n, value in ((4, 0.6), (8, 0.7), (16, 0.8), (32, 0.9))]


def cps(labeled, value, total=32, **more):
    return arm("cps", labeled, *seeds(value), total=total, **more)


def test_a_gain_over_baseline_and_control_is_the_unlabeled_cases():
    found = shown(*SUPERVISED, cps(4, 0.75), cps(4, 0.65, total=4), cps(8, 0.78), cps(8, 0.72, total=8))
    assert found.answer == (
        "Unlabeled cases paid. With 4 labels, cps is better than supervised (Dice +0.150), and better than the same "
        "method without the unlabeled cases (+0.100). One of 2 comparisons."
    )
    saved, gap = found.cards
    # 0.75 is halfway between 8 and 16 labels, on a logarithmic axis: 11.3
    assert (saved.value, saved.title) == ("11", "labels that supervised needs to match cps with 4")
    assert saved.note == "95 % interval 11 to 11"
    assert (gap.value, gap.title) == ("50 %", "of the gap to supervised with all 32 labels closed by cps")
    assert gap.note == "95 % interval 50 to 50 %"


@pytest.mark.parametrize(
    ("arms", "answer"),
    [
        (
            [cps(4, 0.75), cps(4, 0.75, total=4)],
            "With 4 labels, cps is better than supervised (Dice +0.150), but not shown to be better than the same "
            "method without the unlabeled cases (0.000): unlabeled cases are not shown to be the reason.",
        ),
        (
            [cps(4, 0.75)],
            "With 4 labels, cps is better than supervised (Dice +0.150); without a control, why is not known.",
        ),
        (
            [arm("two_networks", 4, *seeds(0.75))],
            "With 4 labels, two_networks is better than supervised (Dice +0.150).",
        ),
        (
            [cps(4, 0.6), cps(8, 0.69)],
            "No method is shown to be better than supervised: the largest difference is Dice 0.000 (cps, 4 labels). "
            "One of 2 comparisons.",
        ),
    ],
)
def test_what_is_not_shown_is_said(arms, answer):
    assert shown(*SUPERVISED, *arms).answer == answer


def test_a_larger_gain_that_the_control_has_too_does_not_hide_one_that_is_real():
    found = shown(*SUPERVISED, cps(4, 0.75), cps(4, 0.75, total=4), cps(8, 0.78), cps(8, 0.72, total=8))
    assert found.answer.startswith("Unlabeled cases paid. With 8 labels, cps is better than supervised (Dice +0.080)")


def test_a_rule_that_chooses_cases():
    found = shown(
        *SUPERVISED, arm("supervised_by_entropy", 8, *seeds(0.75)), rules={"supervised_by_entropy": "entropy"}
    )
    assert found.answer == (
        "With 8 labels, supervised_by_entropy is better than supervised with cases drawn at random (Dice +0.050): "
        "choosing cases by entropy paid."
    )


def test_the_difference_where_no_labels_are_saved_and_the_time_of_the_logs():
    def timed(seconds):
        return tuple([{**record, "seconds": seconds / 2} for record in log([1, 1], [0, 0])] for _ in range(3))

    found = shown(
        arm("supervised", 4, *seeds(0.6), logs=timed(60)), arm("cps", 4, *seeds(0.7), total=32, logs=timed(150))
    )
    difference, time = found.cards
    assert (difference.value, difference.title) == ("+0.100", "Dice: cps minus supervised, 4 labels")
    assert difference.note == "95 % interval +0.100 to +0.100"
    assert (time.value, time.title) == ("2.5 x", "the training time of supervised")
    assert time.note == "cps: 2 min 30 s a model instead of 1 min 00 s (medians)"


def test_the_table_has_every_verdict_with_its_reason():
    noisy = [arm("supervised", 4, *seeds(0.6, 0.05)), arm("cps", 4, *seeds(0.61, 0.05), total=32)]
    (baseline, method, full) = shown(*noisy, *SUPERVISED[3:], cps(4, 0.5, total=4)).table.rows
    assert [cell.text for cell in baseline][:2] == ["supervised", "4"]
    assert baseline[3].text == "baseline"
    assert "not significantly different: " in method[3].text
    assert "the interval includes 0" in method[3].text
    assert method[4].text.startswith("better, +0.")
    assert not method[2].bold
    assert [cell.text for cell in full] == ["supervised", "32", "0.900", "baseline", "–"]


def test_lower_is_better_for_distances():
    arms = [
        arm(name, 4, *seeds(value), total=total, metric="hd95", unit="mm")
        for name, value, total in (("supervised", 6.0, 4), ("cps", 5.0, 32), ("cps", 5.5, 4))
    ]
    found = shown(*arms, metric="hd95")
    assert found.answer.startswith("Unlabeled cases paid. With 4 labels, cps is better than supervised (HD95 -1.00)")


def test_nothing_is_said_where_nothing_was_compared_or_learned():
    assert shown(*SUPERVISED).answer == ""
    assert shown(*SUPERVISED).table is None
    chance = [arm("supervised", 4, *seeds(0.05)), arm("cps", 4, *seeds(0.06), total=32)]
    assert (shown(*chance).answer, shown(*chance).cards) == ("", ())


def test_settings_have_a_block_each():
    arms = [
        arm(name, 4, *seeds(value), total=total, setting=setting)
        for setting in ("unet", "unetr")
        for name, value, total in (("supervised", 0.6, 4), ("cps", 0.7 + 0.1 * (setting == "unetr"), 32))
    ]
    found = shown(*arms)
    assert "cps (unetr)" in found.answer
    assert found.table.columns[:3] == ("setting", "method", "labels")
    assert [row[0].text for row in found.table.rows] == ["unet", "unet", "unetr", "unetr"]
