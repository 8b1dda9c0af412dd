"""Lesion-wise metrics, by hand."""

import math

import numpy as np
import pytest

from semiseg.metrics.lesions import LesionDice, LesionHD95
from semiseg.scoring.presets import PRESETS
from semiseg.testing.metric import make_pair

SHAPE = (40, 20, 20)


def boxes(*corners, size=(4, 4, 4)):
    mask = np.zeros(SHAPE, dtype=bool)
    for corner in corners:
        mask[tuple(slice(a, a + n) for a, n in zip(corner, size, strict=True))] = True
    return mask


def dice(reference, prediction, spacing=(1.0, 1.0, 1.0), **options):
    return LesionDice(LesionDice.Options(**options))(make_pair(reference, prediction, spacing))


def hd95(reference, prediction, spacing=(1.0, 1.0, 1.0), **options):
    return LesionHD95(LesionHD95.Options(**options))(make_pair(reference, prediction, spacing))


NEAR, FAR, OTHER = (2, 8, 8), (20, 8, 8), (34, 8, 8)


def test_a_missed_lesion_counts_as_much_as_a_found_one():
    assert dice(boxes(NEAR, FAR), boxes(NEAR)) == pytest.approx((1 + 0) / 2)
    assert hd95(boxes(NEAR, FAR), boxes(NEAR), penalty=100.0) == pytest.approx((0 + 100) / 2)


def test_a_lesion_that_is_made_up_counts_too():
    # One found, one moved by one of four voxels along x (Dice 2 * 48 / 128), one made up.
    reference, prediction = boxes(NEAR, FAR), boxes(NEAR, (21, 8, 8), OTHER)
    assert dice(reference, prediction) == pytest.approx((1 + 0.75 + 0) / 3)
    assert hd95(reference, prediction, (2.0, 1.0, 1.0), penalty=100.0) == pytest.approx((0 + 2 + 100) / 3)


def test_parts_that_touch_when_they_are_grown_are_one_lesion():
    # Grown by 3 voxels on both sides, a gap of 6 is closed and one of 7 is not.
    for gap, lesions in ((6, 1), (7, 2)):
        reference = boxes(NEAR, (6 + gap, 8, 8))
        found = dice(reference, boxes(NEAR))
        assert found == pytest.approx(2 * 64 / (128 + 64) if lesions == 1 else 1 / 2)


def test_a_prediction_beside_a_lesion_is_its_own_within_the_growth():
    for moved, value in ((4, 0.0), (6, 0.0), (8, 0.0)):
        assert dice(boxes(NEAR), boxes((2 + moved, 8, 8))) == value
    # Within 3 voxels it is one lesion with a distance, beyond it is one missed and one made up.
    assert hd95(boxes(NEAR), boxes((8, 8, 8)), penalty=100.0) == pytest.approx(6)
    assert hd95(boxes(NEAR), boxes((10, 8, 8)), penalty=100.0) == 100


def test_lesions_up_to_the_smallest_volume_do_not_count_and_are_not_made_up():
    reference = boxes(NEAR, FAR, OTHER) & ~boxes((20, 8, 8), size=(3, 4, 4))  # FAR keeps 16 voxels
    prediction = boxes(NEAR, FAR)
    # FAR is found with Dice 2 * 16 / 80, OTHER is missed.
    assert dice(reference, prediction) == pytest.approx((1 + 0.4 + 0) / 3)
    assert dice(reference, prediction, minimum_volume=16) == pytest.approx((1 + 0) / 2)
    assert dice(reference, prediction, (1.0, 1.0, 2.0), minimum_volume=16) == pytest.approx((1 + 0.4 + 0) / 3)


def test_the_penalty_is_the_image_s_diagonal_unless_it_is_given():
    diagonal = math.hypot(40, 20, 20)
    assert hd95(boxes(NEAR, FAR), boxes(NEAR)) == pytest.approx(diagonal / 2)


def test_empty_masks_of_the_brats_2023_preset():
    metrics = {name: PRESETS["brats2023"].metrics[name].create(name) for name in ("lesion_dice", "lesion_hd95")}
    empty, large, small = boxes(), boxes(NEAR), boxes(NEAR, size=(2, 5, 5))  # 64 and 50 mm³
    for reference, prediction, expected in (
        (large, empty, (0, 374)),
        (small, empty, (1, 0)),
        (empty, small, (0, 374)),
        (empty, empty, (1, 0)),
        (small, small, (1, 0)),
        (small, boxes(OTHER), (0, 374)),
    ):
        pair = make_pair(reference, prediction)
        assert tuple(metric(pair) for metric in metrics.values()) == expected


def test_both_metrics_find_the_lesions_once():
    pair = make_pair(boxes(NEAR, FAR), boxes(NEAR))
    LesionDice()(pair)
    shared = dict(pair._shared)
    LesionHD95()(pair)
    assert pair._shared == shared
    assert len(shared) == 1
