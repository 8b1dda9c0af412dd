"""Overlap and volume: counts worked out by hand, and every metric's values where a mask is empty."""

import math

import numpy as np
import pytest

from semiseg.registry import create
from semiseg.testing.metric import make_pair

REFERENCE, PREDICTION = np.zeros((2, 4, 4, 4), dtype=bool)
REFERENCE[0, :2, :3] = True  # 6 voxels
PREDICTION[0, 1:, :3] = True  # 9 voxels, 3 of them right


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dice", 2 * 3 / 15),
        ("jaccard", 3 / 12),
        ("sensitivity", 3 / 6),
        ("precision", 3 / 9),
        ("volume_difference", 3 / 6),
    ],
)
def test_by_hand(name, expected):
    assert create("metric", name)(make_pair(REFERENCE, PREDICTION, (0.5, 1, 3))) == pytest.approx(expected)


def test_too_small_counts_as_much_as_too_large():
    assert create("metric", "volume_difference")(make_pair(PREDICTION, REFERENCE)) == pytest.approx(3 / 9)


inf, nan = math.inf, math.nan


@pytest.mark.parametrize(
    ("name", "missed", "spurious", "both_empty"),
    [
        ("dice", 0, 0, nan),
        ("jaccard", 0, 0, nan),
        ("nsd", 0, 0, nan),
        ("sensitivity", 0, nan, nan),
        ("precision", nan, 0, nan),
        ("volume_difference", 1, inf, nan),
        ("hd95", inf, inf, nan),
        ("hd", inf, inf, nan),
        ("assd", inf, inf, nan),
    ],
)
@pytest.mark.parametrize("shape", [(2, 2, 2), (0, 0, 0)])
def test_empty_masks(name, missed, spurious, both_empty, shape):
    metric = create("metric", name)
    full, empty = np.ones((2, 2, 2), dtype=bool), np.zeros((2, 2, 2), dtype=bool)
    np.testing.assert_equal(metric(make_pair(full, empty)), missed)
    np.testing.assert_equal(metric(make_pair(empty, full)), spurious)
    np.testing.assert_equal(metric(make_pair(np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool))), both_empty)


def test_a_definition_tells_class_version_options_and_changed_values():
    assert create("metric", "dice").definition == "Dice 1"
    metric = create("metric", "nsd", {"tolerance": 2})
    assert metric.definition == "NSD 1 (tolerance=2.0, kind=border)"
    metric.both_empty = 1.0
    assert metric.definition == "NSD 1 (tolerance=2.0, kind=border, both_empty=1.0)"


def test_what_metrics_share_is_worked_out_once():
    calls = []

    def count(pair):
        calls.append(pair)
        return pair.n_reference

    pair = make_pair(REFERENCE, PREDICTION)
    assert [pair.shared(count), pair.shared(count)] == [6, 6]
    assert calls == [pair]
