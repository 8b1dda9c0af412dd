import math

import pytest
import torch
from scipy.stats import beta, kstest, uniform

from semiseg.interfaces.batch import Step
from semiseg.strategy_parts.boxes import random_box
from semiseg.strategy_parts.mixing import copy_paste_masks, cutmix_masks, mixup_weights, paste

STEP = Step(3, 100, 10, seed=5)
SHAPE = (30, 24, 18)


def extent(mask):
    """Length of the mask's box along each axis."""
    return [int(mask.any(dim=tuple({0, 1, 2} - {axis})).sum()) for axis in range(3)]


def test_a_box_may_lie_anywhere():
    generator = torch.Generator().manual_seed(0)
    boxes = [random_box((4, 4, 4), (0.5, 1.0, 0.0), generator) for _ in range(200)]
    assert {(x.start, x.stop) for x, _, _ in boxes} == {(0, 2), (1, 3), (2, 4)}
    assert {(y.start, y.stop) for _, y, _ in boxes} == {(0, 4)}
    assert all(z.start == z.stop for _, _, z in boxes)


def test_a_copy_paste_box_has_two_thirds_of_each_side():
    masks = copy_paste_masks(SHAPE, range(20), STEP, "mask")
    for mask in masks:
        assert extent(mask) == [20, 16, 12]
        assert int(mask.sum()) == 20 * 16 * 12
    assert len({tuple(mask.nonzero()[0].tolist()) for mask in masks}) > 10


def test_one_cutmix_box_has_a_share_of_the_volume_that_is_uniform():
    masks = cutmix_masks((60, 60, 60), range(300), STEP, "mask", boxes=1)
    assert all(math.prod(extent(mask)) == int(mask.sum()) for mask in masks)
    shares = masks.flatten(1).double().mean(1)
    assert kstest(shares.numpy(), uniform(0.25, 0.25).cdf).pvalue > 1e-3
    lengths = torch.tensor([extent(mask) for mask in masks]) / 60
    assert lengths.min() < 0.4  # of many forms
    assert lengths.max() > 0.95


def test_in_2d_the_logarithm_of_the_area_is_split_uniformly_between_the_sides():
    """French et al. 2020, as in their public code: a side is the area to the power of a uniform number."""
    size = 500
    masks = cutmix_masks((size, size), range(200), STEP, "mask", boxes=1)
    sides = torch.tensor([[int(mask.any(dim=1 - axis).sum()) for axis in range(2)] for mask in masks]) / size
    areas = masks.flatten(1).double().mean(1)
    assert torch.allclose(sides.prod(dim=1).double(), areas, rtol=1e-5)
    assert kstest(areas.numpy(), uniform(0.25, 0.25).cdf).pvalue > 1e-3
    assert kstest((sides[:, 0].log() / sides.log().sum(dim=1)).numpy(), uniform(0, 1).cdf).pvalue > 1e-3


def test_a_copy_paste_box_of_a_slice_has_two_thirds_of_each_side():
    masks = copy_paste_masks((30, 24), range(20), STEP, "mask")
    assert all(mask.any(dim=1).sum() == 20 and mask.any(dim=0).sum() == 16 for mask in masks)
    assert (masks.flatten(1).sum(dim=1) == 20 * 16).all()
    images = paste(torch.ones((20, 3, 30, 24)), torch.zeros((20, 3, 30, 24)), masks)
    assert all(torch.equal(images[:, c], masks.float()) for c in range(3))


def test_several_boxes_share_the_volume():
    """Of a share so small that they hardly overlap, three boxes have together what one would have."""
    masks = cutmix_masks((60, 60, 60), range(200), STEP, "mask", share=(0.03, 0.03), boxes=3)
    assert masks.flatten(1).float().mean().item() == pytest.approx(0.03, rel=0.05)


def test_where_two_boxes_overlap_the_mask_turns_back():
    """Of volume 1/2, two cubes have sides of 5 voxels of 6: both hold the middle."""
    masks = cutmix_masks((6, 6, 6), range(8), STEP, "mask", share=(1.0, 1.0), boxes=2)
    assert not masks[:, 1:5, 1:5, 1:5].any()
    assert masks.any()
    assert cutmix_masks((6, 6, 6), range(8), STEP, "mask", share=(1.0, 1.0), boxes=1).all()


def test_masks_depend_on_the_slot_and_not_on_the_other_samples():
    for draw in (cutmix_masks, copy_paste_masks):
        assert torch.equal(draw(SHAPE, (1, 2, 3), STEP, "mask")[1:], draw(SHAPE, (2, 3), STEP, "mask"))
        assert not torch.equal(draw(SHAPE, (1,), STEP, "mask"), draw(SHAPE, (1,), STEP, "other"))
        assert draw(SHAPE, (), STEP, "mask").shape == (0, *SHAPE)
    assert torch.equal(mixup_weights((1, 2, 3), STEP, "mix", 0.2)[1:], mixup_weights((2, 3), STEP, "mix", 0.2))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_weights_are_from_the_beta_distribution(alpha):
    weights = mixup_weights(range(2000), STEP, "mix", alpha)
    assert weights.shape == (2000,)
    assert ((weights >= 0) & (weights <= 1)).all()
    assert kstest(weights.numpy(), beta(alpha, alpha).cdf).pvalue > 1e-3


def test_pasting_images_and_labels_agrees():
    masks = copy_paste_masks(SHAPE, (1, 2), STEP, "mask")
    images = paste(torch.ones((2, 3, *SHAPE)), torch.zeros((2, 3, *SHAPE)), masks)
    labels = paste(torch.ones((2, *SHAPE), dtype=torch.int64), torch.zeros((2, *SHAPE), dtype=torch.int64), masks)
    assert torch.equal(labels.bool(), masks)
    assert all(torch.equal(images[:, c], masks.float()) for c in range(3))
