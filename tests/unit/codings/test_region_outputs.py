"""Regions as outputs: from logits to label maps, and their losses."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.losses import DiceLoss

from semiseg.codings.classes import CLASSES
from semiseg.codings.of_task import coding_of
from semiseg.codings.region_table import class_table, region_notes
from semiseg.codings.regions import Regions
from semiseg.losses.named import named_loss
from semiseg.types import IGNORE, Task

BRATS = [(1, 2, 3), (1, 3), (3,)]
"""Whole tumor, tumor core, enhancing tumor, of necrosis 1, edema 2, enhancing 3."""


def drawn(*shape, seed=0, dtype=torch.float64):
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels_for(logits, n_classes=4, seed=1):
    shape = (len(logits), *logits.shape[2:])
    return torch.randint(n_classes, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("whole", "core", "enhancing", "expected"),
    [(0, 0, 0, 0), (1, 0, 0, 2), (1, 1, 0, 1), (1, 1, 1, 3), (0, 1, 0, 1), (0, 0, 1, 3), (1, 0, 1, 3), (0, 1, 1, 3)],
)
def test_brats_regions_give_brats_labels(whole, core, enhancing, expected):
    assert class_table(BRATS, 4)[whole + 2 * core + 4 * enhancing] == expected


def test_nested_regions_are_those_of_nnunet():
    # There each region in turn overwrites the label with its own: edema, then necrosis, then enhancing.
    for inside in itertools.product([0, 1], repeat=3):
        label = 0
        for is_in, own in zip(inside, (2, 1, 3), strict=True):
            label = own if is_in else label
        assert class_table(BRATS, 4)[sum(bit << i for i, bit in enumerate(inside))] == label


@given(st.lists(st.sets(st.integers(1, 5), min_size=1), min_size=1, max_size=5))
def test_a_class_survives_its_regions(regions):
    ordered = [tuple(sorted(region)) for region in regions]
    table, coding = class_table(ordered, 6), Regions(ordered, 6)
    seen = {}
    for index in range(6):
        seen.setdefault(sum(1 << bit for bit, region in enumerate(ordered) if index in region), index)
    for code, index in seen.items():
        assert table[code] == index  # the first of the classes with these regions
    labels = torch.tensor(sorted(seen.values()))[None]
    inside = coding.voxel_losses.inside(labels)
    assert torch.equal(coding.hard(torch.where(inside, 5.0, -5.0)).long(), labels)


def test_classes_that_cannot_be_predicted_are_named():
    classes = ("background", "a", "b", "c")
    assert region_notes({"all": (1, 2)}, classes) == [
        "no region contains c: training treats it as background",
        "b lies in the same regions as another class, so that predictions never contain it",
    ]
    (note,) = region_notes({"all": (1, 2, 3)}, classes)
    assert note == "b, c lie in the same regions as others, so that predictions never contain them"
    assert region_notes({"x": (1, 2, 3), "y": (2, 3), "z": (3,)}, classes) == []


@pytest.mark.parametrize("size", [(6, 5), (4, 3, 2)])
def test_probabilities_pseudo_labels_and_predictions_agree(size):
    coding, logits = Regions(BRATS, 4), drawn(2, 3, *size)
    p = coding.probabilities(logits)
    torch.testing.assert_close(p, torch.sigmoid(logits))
    hard = coding.hard(logits)
    assert hard.dtype == torch.uint8
    assert hard.shape == (2, *size)
    for sample, expected in zip(p, hard, strict=True):
        assert torch.equal(coding.decide(sample), expected)
    assert not coding.decide(torch.full((3, 2, 2), 0.5)).any()  # 0.5 is outside
    inside = coding.voxel_losses.inside(hard)
    torch.testing.assert_close(coding.confidence(logits), torch.where(inside, p, 1 - p).min(dim=1).values)
    torch.testing.assert_close(torch.stack([coding.certainty(one) for one in p]), coding.confidence(logits))
    agree = (inside == (p > 0.5)).all(dim=1)  # a class has exactly these regions
    torch.testing.assert_close(coding.confidence(logits)[agree], torch.maximum(p, 1 - p).min(dim=1).values[agree])
    assert (coding.confidence(logits)[~agree] < 0.5).all()
    assert (~agree).any()
    torch.testing.assert_close(coding.log_probabilities(logits).exp(), coding.states(p))
    torch.testing.assert_close(coding.sharpened(logits, 0.5), p**2 / (p**2 + (1 - p) ** 2))


@pytest.mark.parametrize("size", [(6, 5), (4, 3, 2)])
def test_the_dice_loss_is_monai_s_with_sigmoid(size):
    coding, logits = Regions(BRATS, 4), drawn(2, 3, *size)
    labels = labels_for(logits)
    target = torch.stack([torch.isin(labels, torch.tensor(region)) for region in BRATS], dim=1).double()
    spatial = tuple(range(2, logits.dim()))
    monai = DiceLoss(sigmoid=True, smooth_nr=1e-5, smooth_dr=1e-5, reduction="none")(logits, target)
    torch.testing.assert_close(coding.loss(logits, labels, "dice"), monai.mean(dim=(1, *spatial)))
    bce = torch.nn.BCEWithLogitsLoss(reduction="none")(logits, target).flatten(1).mean(1)
    torch.testing.assert_close(coding.loss(logits, labels, "cross_entropy"), bce)
    both = coding.loss(logits, labels, "dice") + coding.loss(logits, labels, "cross_entropy")
    torch.testing.assert_close(coding.loss(logits, labels, "dice_ce"), both)


def test_hand_computed_dice_of_two_voxels():
    coding = Regions([(1, 2), (2,)], 3)
    p = torch.tensor([[[0.8, 0.6], [0.5, 0.9]]], dtype=torch.float64)  # (1, 2 regions, 2 voxels)
    labels = torch.tensor([[1, 2]])
    outer, inner = 1 - 2 * 1.4 / (1.4 + 2), 1 - 2 * 0.9 / (1.4 + 1)
    assert coding.dice_of_probabilities(p, labels).item() == pytest.approx((outer + inner) / 2, abs=1e-5)


@pytest.mark.parametrize("kind", ["dice", "cross_entropy", "dice_ce"])
def test_ignored_voxels_do_not_exist(kind):
    coding, logits = Regions(BRATS, 4), drawn(2, 3, 6, 4)
    labels = labels_for(logits)
    known = torch.tensor([False, True, True, False, True, True])
    expected = coding.loss(logits[:, :, known], labels[:, known], kind)
    labels[:, ~known] = IGNORE
    poisoned = logits.clone()
    poisoned[:, :, ~known] = 50
    poisoned.requires_grad_()
    found = coding.loss(poisoned, labels, kind, has_ignored=True)
    torch.testing.assert_close(found, expected)
    found.sum().backward()
    assert not poisoned.grad[:, :, ~known].any()
    assert poisoned.grad[:, :, known].any()


@pytest.mark.parametrize("size", [(6, 5), (4, 3, 2)])
def test_one_region_of_one_class_is_the_binary_softmax(size):
    z = drawn(2, 1, *size)
    one, two = Regions([(1,)], 2), CLASSES
    pair = torch.cat([torch.zeros_like(z), z], dim=1)  # its softmax is the sigmoid of z
    labels = labels_for(z, 2)
    assert torch.equal(one.hard(z), two.hard(pair))
    torch.testing.assert_close(one.confidence(z), two.confidence(pair))
    for coding, logits in ((one, z), (two, pair)):
        certain = torch.stack([coding.certainty(p) for p in coding.probabilities(logits)])
        torch.testing.assert_close(certain, coding.confidence(logits))
    torch.testing.assert_close(one.log_probabilities(z), two.log_probabilities(pair))
    torch.testing.assert_close(one.sharpened(z, 0.1)[:, 0], two.sharpened(pair, 0.1)[:, 1])
    torch.testing.assert_close(one.loss(z, labels, "cross_entropy"), two.loss(pair, labels, "cross_entropy"))


def test_classes_are_what_the_named_losses_have_always_been():
    logits, classes = drawn(2, 3, 4, 3, 2), ("background", "a", "b")
    coding = coding_of(Task(1, classes, (8, 8, 8)))
    assert coding is CLASSES
    labels = labels_for(logits, 3)
    for kind in ("dice", "cross_entropy", "dice_ce"):
        assert torch.equal(coding.loss(logits, labels, kind), named_loss(logits, labels, kind))
    p = coding.probabilities(logits)
    assert torch.equal(p, torch.softmax(logits, dim=1))
    np.testing.assert_array_equal(coding.decide(p[0]).numpy(), p[0].argmax(0).numpy())


def test_a_task_of_regions_has_an_output_for_each():
    task = Task(4, ("background", "a", "b", "c"), (8, 8), {"all": (1, 2, 3), "c": (3,)})
    assert task.out_channels == 2
    assert coding_of(task).hard(torch.ones((1, 2, 3, 3))).unique().tolist() == [3]


def test_a_pseudo_label_that_contradicts_a_confident_output_is_not_confident():
    # Core without the whole tumor, which contains it: the label says that the whole tumor is there, too.
    coding = Regions([(1, 2), (2,)], 3)
    logits = torch.tensor([-5.0, 5.0]).reshape(1, 2, 1, 1)
    assert coding.hard(logits).item() == 2
    assert coding.confidence(logits).item() == pytest.approx(1 / (1 + math.exp(5)))
