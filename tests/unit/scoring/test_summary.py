"""Means under a named policy: nothing that is missing vanishes."""

import json
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.errors import DataError
from semiseg.scoring.score_case import Score
from semiseg.scoring.summary import summarize
from semiseg.statistics.bootstrap import bootstrap_interval, mean_of_means

DIAGONAL = 100.0


def hd95(case, value, status="ok", name="edema", checkpoint="best", **more):
    counts = {"ok": (5, 5), "missed": (5, 0), "spurious": (0, 5), "both_empty": (0, 0)}[status]
    return Score(more.get("run", "r"), checkpoint, case, name, "hd95", value, "mm", status, *counts, DIAGONAL)


def dice(case, value, status="ok", name="edema", checkpoint="best", unit="1"):
    return Score("r", checkpoint, case, name, "dice", value, unit, status, 5, 5, DIAGONAL)


FOUR = [
    hd95("a", 2.0),
    hd95("b", math.inf, "missed"),
    hd95("c", math.inf, "spurious"),
    hd95("d", math.nan, "both_empty"),
    hd95("e", 6.0),
]


def edema(summary, metric="hd95", checkpoint="best"):
    return summary["checkpoints"][checkpoint][metric]["classes"]["edema"]


def test_by_default_a_miss_counts_the_image_diagonal():
    part = edema(summarize(FOUR))
    assert part["mean"] == pytest.approx((2 + 100 + 100 + 6) / 4)
    assert part["median"] == pytest.approx((6 + 100) / 2)
    assert (part["n"], part["excluded"]) == (4, 1)
    assert {status: part[status] for status in ("ok", "missed", "spurious", "both_empty")} == {
        "ok": 2,
        "missed": 1,
        "spurious": 1,
        "both_empty": 1,
    }


def test_excluded_values_are_counted():
    part = edema(summarize(FOUR, "exclude"))
    assert part["mean"] == pytest.approx(4.0)
    assert (part["n"], part["excluded"], part["missed"], part["spurious"], part["both_empty"]) == (2, 3, 1, 1, 1)


def test_a_missed_structure_counts_zero_dice_under_both_policies():
    scores = [dice("a", 0.8), dice("b", 0.0, "missed"), dice("c", math.nan, "both_empty")]
    for policy in ("image_diagonal", "exclude"):
        part = edema(summarize(scores, policy), "dice")
        assert part["mean"] == pytest.approx(0.4)
        assert (part["n"], part["excluded"]) == (2, 1)


def test_statistics_are_those_of_the_standard_library():
    values = [0.2, 0.9, 0.5, 0.7, 0.65]
    part = edema(summarize([dice(str(i), value) for i, value in enumerate(values)]), "dice")
    assert part["mean"] == pytest.approx(statistics.mean(values))
    assert part["median"] == pytest.approx(statistics.median(values))
    assert part["std"] == pytest.approx(statistics.stdev(values))
    assert (part["q1"], part["q3"]) == pytest.approx((0.5, 0.7))


def test_foreground_is_the_mean_of_class_means_with_its_counts():
    scores = [
        dice("a", 0.8),
        dice("b", 0.6),
        dice("a", 0.3, name="core"),
        dice("b", math.nan, "both_empty", name="core"),
        dice("a", math.nan, "both_empty", name="rare"),
        dice("b", math.nan, "both_empty", name="rare"),
    ]
    block = summarize(scores)["checkpoints"]["best"]["dice"]
    assert block["foreground"]["mean"] == pytest.approx((0.7 + 0.3) / 2)
    counted = {key: block["foreground"][key] for key in ("n", "excluded", "n_classes", "excluded_classes")}
    assert counted == {"n": 3, "excluded": 3, "n_classes": 2, "excluded_classes": 1}
    assert block["classes"]["rare"]["mean"] is None
    assert block["classes"]["rare"]["both_empty"] == 2
    assert block["classes"]["core"]["std"] is None
    assert block["classes"]["core"]["interval"] is None


def test_checkpoints_are_apart():
    summary = summarize([dice("a", 0.5, checkpoint="last"), dice("a", 0.9, checkpoint="best")])
    assert edema(summary, "dice", "last")["mean"] == 0.5
    assert edema(summary, "dice", "best")["mean"] == 0.9


def test_worst_cases_are_the_far_ones_for_distances_and_the_low_ones_for_dice():
    scores = [dice(f"c{i}", i / 10) for i in range(8)] + [hd95(f"c{i}", float(i)) for i in range(8)]
    scores += [dice("empty", math.nan, "both_empty")]
    metrics = summarize(scores)["checkpoints"]["best"]
    assert [worst["case"] for worst in metrics["dice"]["worst"]] == ["c0", "c1", "c2", "c3", "c4"]
    assert [worst["case"] for worst in metrics["hd95"]["worst"]] == ["c7", "c6", "c5", "c4", "c3"]
    assert metrics["hd95"]["worst"][0]["value"] == 7.0
    turned = summarize(scores, lower_is_better=["dice"])["checkpoints"]["best"]
    assert turned["dice"]["worst"][0]["case"] == "c7"


def test_worst_case_is_by_the_mean_of_its_classes():
    scores = [dice("a", 0.1), dice("a", 0.9, name="core"), dice("b", 0.4), dice("b", 0.4, name="core")]
    worst = summarize(scores)["checkpoints"]["best"]["dice"]["worst"]
    assert [(w["case"], pytest.approx(w["value"])) for w in worst] == [("b", 0.4), ("a", 0.5)]


statuses = st.sampled_from(["ok", "missed", "spurious", "both_empty"])


@settings(deadline=None)
@given(st.lists(st.tuples(statuses, st.floats(0, 50)), min_size=1, max_size=12), st.randoms())
def test_every_case_is_counted_and_the_order_of_cases_does_not_matter(cases, random):
    raw = {"missed": math.inf, "spurious": math.inf, "both_empty": math.nan}
    scores = [hd95(str(i), raw.get(status, value), status) for i, (status, value) in enumerate(cases)]
    for policy in ("image_diagonal", "exclude"):
        summary = summarize(scores, policy)
        part = edema(summary)
        assert part["n"] + part["excluded"] == len(cases)
        assert part["ok"] + part["missed"] + part["spurious"] + part["both_empty"] == len(cases)
        json.dumps(summary, allow_nan=False)
        shuffled = random.sample(scores, len(scores))
        other = edema(summarize(shuffled, policy))
        assert (other["n"], other["median"]) == (part["n"], part["median"])
        assert other["mean"] == (None if part["mean"] is None else pytest.approx(part["mean"]))


def test_no_scores_have_an_empty_summary():
    assert summarize([])["checkpoints"] == {}


def test_what_cannot_be_summarized_is_told():
    twice = [dice("a", 0.5), dice("a", 0.6)]
    with pytest.raises(DataError, match="case a: dice of edema occurs 2 times"):
        summarize(twice)
    with pytest.raises(DataError, match="scores of 2 runs: 'r', 's'"):
        summarize([hd95("a", 1.0), hd95("a", 1.0, run="s")])
    with pytest.raises(DataError, match="metric dice: has several units: 1, voxel"):
        summarize([dice("a", 0.5), dice("b", 0.5, unit="voxel")])
    with pytest.raises(DataError, match=r"Unknown policy 'drop'.\n    Known: image_diagonal, exclude."):
        summarize(FOUR, "drop")


class TestBootstrap:
    def test_interval_is_close_to_the_normal_one_for_many_cases(self):
        values = np.random.default_rng(3).normal(5, 2, size=(400, 1))
        low, high = bootstrap_interval(values)
        half = 1.96 * values.std(ddof=1) / math.sqrt(400)
        assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)

    def test_interval_of_two_values_is_their_range(self):
        # Means of two draws: 0, 1/2, 1 with probability 1/4, 1/2, 1/4: both ends are beyond 2.5 %.
        assert bootstrap_interval(np.array([[0.0], [1.0]])) == (0.0, 1.0)

    def test_the_same_values_have_the_same_interval(self):
        values = np.random.default_rng(0).random((30, 3))
        assert bootstrap_interval(values) == bootstrap_interval(values.copy())

    def test_cases_are_drawn_whole(self):
        # Two classes that mirror each other: the mean over classes of every case is 1/2, so there is no spread.
        first = np.random.default_rng(0).random(20)
        assert bootstrap_interval(np.stack([first, 1 - first], axis=1)) == pytest.approx((0.5, 0.5))

    def test_values_left_out_do_not_count(self):
        values = np.array([[1.0], [2.0], [np.nan], [4.0]])
        assert mean_of_means(values) == pytest.approx(7 / 3)
        low, high = bootstrap_interval(values)
        assert 1 <= low < 7 / 3 < high <= 4

    def test_one_value_has_no_interval(self):
        for values in (np.array([[1.0]]), np.array([[1.0], [np.nan]]), np.full((3, 1), np.nan), np.empty((0, 0))):
            assert np.isnan(bootstrap_interval(values)).all()

    def test_coverage_is_near_the_stated_level(self):
        generator, inside = np.random.default_rng(1), 0
        for _ in range(60):
            low, high = bootstrap_interval(generator.normal(size=(40, 1)))
            inside += low <= 0 <= high
        assert inside >= 50
