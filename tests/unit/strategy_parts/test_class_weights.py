"""Weights of classes by difficulty and by rarity, computed by hand over two or three steps."""

from math import log

import pytest
import torch

from semiseg.strategy_parts.class_weights import Difficulty, Rarity, counts_of, hard_dice, rarity
from semiseg.types import IGNORE

TINY = 1e-8


def approx(values):
    return pytest.approx(values, rel=1e-5)


def present(*values):
    return torch.tensor(values, dtype=torch.bool)


def counts(*values):
    return torch.tensor(values)


def test_the_dice_of_an_argmax_is_over_the_batch_and_the_known_voxels():
    labels = torch.tensor([[[0, 1]], [[2, IGNORE]]])
    predicted = torch.tensor([[[0, 1]], [[1, 2]]], dtype=torch.uint8)
    dice, there = hard_dice(predicted, labels, 4)
    assert dice[:2].tolist() == approx([1, 2 / 3])
    assert 0 < dice[2].item() <= TINY  # in the label, but not found there: the other voxel is ignored
    assert there.tolist() == [True, True, True, False]
    assert counts_of(labels, 4).tolist() == [1, 1, 1, 0]


def test_difficulty_of_two_steps():
    start = Difficulty.start(3)
    one = start.after(torch.tensor([0.5, 0.8, 0.3]), present(True, True, False), decay=0.5)
    two = one.after(torch.tensor([0.25, 0.9, 0.5]), present(True, False, True), decay=0.5)
    first = [0.5 * log(0.5 / TINY), 0.8 * log(0.8 / TINY)]
    assert one.learned.tolist() == approx([first[0] / 2, first[1] / 2, 0])
    assert one.unlearned.tolist() == [0, 0, 0]
    assert one.error.tolist() == approx([0.75, 0.6, 1])
    assert one.seen.tolist() == [1, 1, 0]
    # The first class fell from 0.5 to 0.25, the second is not in the labels, the third is there for the first time.
    assert two.learned.tolist() == approx([first[0] / 4, first[1] / 2, first[0] / 2])
    assert two.unlearned.tolist() == approx([0.25 * log(2) / 2, 0, 0])
    assert two.error.tolist() == approx([(0.75 + 0.75) / 2, 0.6, 0.75])
    assert two.dice.tolist() == approx([0.25, 0.8, 0.5])
    hard = [
        ((0.25 * log(2) / 2 + TINY) / (first[0] / 4 + TINY)) ** 0.2 * 0.75,
        (TINY / (first[1] / 2 + TINY)) ** 0.2 * 0.6,
        (TINY / (first[0] / 2 + TINY)) ** 0.2 * 0.75,
    ]
    assert hard[0] == max(hard)
    assert two.weights(1e-6).tolist() == approx([3 * h / hard[0] for h in hard])


def test_a_class_that_labels_did_not_have_is_among_the_hardest_and_does_not_make_the_others_easier():
    dice = torch.tensor([0.5, 0.8, 0.5])
    known = Difficulty.start(2).after(dice[:2], present(True, True), decay=0.98).weights(1e-6)
    found = Difficulty.start(3).after(dice, present(True, True, False), decay=0.98).weights(1e-6)
    assert known[0] == 2
    assert found[2] == 3
    assert (found[:2] / 3).tolist() == approx((known / 2).tolist())
    assert Difficulty.start(3).weights(1e-6).tolist() == [3, 3, 3]


def test_absent_classes_change_nothing_however_often():
    state = Difficulty.start(2).after(torch.tensor([0.4, 0.6]), present(True, True), decay=0.9)
    later = state
    for _ in range(50):
        later = later.after(torch.tensor([0.7, 0.5]), present(True, False), decay=0.9)
    assert [float(value[1]) for value in later] == [float(value[1]) for value in state]
    assert later.learned[0] != state.learned[0]


@pytest.mark.parametrize(
    ("voxels", "expected"),
    [
        ((100, 10, 1), [0, 0.5, 1]),
        ((100, 10, 0), [0, 1, 1]),  # the second keeps its distance from the first
        ((50, 50, 0), [0, 0, 1]),
        ((7, 0, 0), [0, 1, 1]),
        ((0, 0, 0), [1, 1, 1]),
    ],
)
def test_rarity_of_counts(voxels, expected):
    assert rarity(counts(*voxels)).tolist() == approx(expected)


def test_rarity_of_three_steps():
    """Labels have 100, 10 and 1 voxels, after a first step that lacks the third class; the decay is 0.9."""
    first = Rarity.start(3).after(counts(60, 6, 0), counts(0, 0, 0), decay=0.9)
    assert first.weights(0.01).tolist() == approx([0.03, 3, 3])
    one = first.after(counts(40, 4, 1), counts(50, 50, 0), decay=0.9)
    assert one.labeled.tolist() == [100, 10, 1]
    # 0.9 (0, 0.5, 1) + 0.1 (0, 0, -): the third class is not among the pseudo-labels.
    assert one.weights(0.01).tolist() == approx([0.03, 3 * 0.45, 3])
    two = one.after(counts(0, 0, 0), counts(100, 1, 10), decay=0.9)
    # 0.81 (0, 0.5, -) + 0.1 (0, 1, -), and for the third class 0.9 * 1 + 0.1 * 0.5
    assert two.weights(0.01).tolist() == approx([0.03, 3 * 0.505, 3 * 0.95])


def test_a_class_that_pseudo_labels_lose_keeps_its_weight():
    state = Rarity.start(3).after(counts(100, 10, 1), counts(100, 1, 10), decay=0.9)
    later = state
    for _ in range(100):
        later = later.after(counts(0, 0, 0), counts(10, 1, 0), decay=0.9)
    assert later.weights(0.01)[2].item() == pytest.approx(state.weights(0.01)[2].item(), rel=1e-6)
    assert later.weights(0.01)[1].item() == pytest.approx(3, rel=1e-3)
    assert state.weights(0.01)[1].item() == pytest.approx(3 * (0.9 * 0.5 + 0.1), rel=1e-5)


@pytest.mark.parametrize("floor", [0.01, 0.3, 1])
def test_no_weight_is_below_the_floor_or_above_the_number_of_classes(floor):
    hard = Difficulty.start(3).after(torch.tensor([0.2, 1.0, 0.999]), present(True, True, True), decay=0)
    rare = Rarity.start(3).after(counts(1000, 999, 1), counts(1000, 1, 1), decay=0.5)
    for weights in (hard.weights(floor), rare.weights(floor)):
        assert weights.min().item() == pytest.approx(3 * floor)
        assert weights.max().item() == 3
