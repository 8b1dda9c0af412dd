"""Signed distances by hand, and what holds for any mask."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from semiseg.strategy_parts.signed_distance import (
    SIGNED_DISTANCE,
    distance_error,
    signed_distances,
    with_distance_head,
)
from semiseg.testing.strategy import TASK, make_batch
from semiseg.testing.tiny import TinyBackbone


def test_a_row_by_hand():
    """Voxels 2 to 6 of 10 in a row: their ends are the boundary, 3 deep inside and 3 away outside at most."""
    labels = torch.zeros(1, 10, 1, 1, dtype=torch.int64)
    labels[0, 2:7] = 1
    found = signed_distances(labels, 2)[0, 0, :, 0, 0]
    assert found.tolist() == pytest.approx([2 / 3, 1 / 3, 0, -2 / 3, -1, -2 / 3, 0, 1 / 3, 2 / 3, 1])


def test_a_cube_has_the_distance_to_its_nearest_face_edge_or_corner():
    labels = torch.zeros(1, 7, 7, 7, dtype=torch.int64)
    labels[0, 2:5, 2:5, 2:5] = 1
    found = signed_distances(labels, 2)[0, 0]
    longest = np.sqrt(3 * 2**2)
    assert found[3, 3, 3] == -1
    assert found[2, 3, 3] == 0
    assert found[0, 3, 3] == pytest.approx(2 / longest)
    assert found[1, 1, 3] == pytest.approx(np.sqrt(2) / longest)
    assert found[0, 0, 0] == pytest.approx(1)


def test_each_class_has_its_own_and_the_edge_of_the_volume_is_no_boundary():
    labels = torch.zeros(1, 6, 1, 1, dtype=torch.int64)
    labels[0, 3:] = 2
    absent, right = signed_distances(labels, 3)[0, :, :, 0, 0]
    assert absent.tolist() == [0] * 6
    assert right.tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0, -2 / 3, -1])


def test_a_class_that_fills_the_volume_is_inside_everywhere_and_no_samples_give_none():
    assert (signed_distances(torch.ones(2, 3, 3, 3, dtype=torch.int64), 2) == -1).all()
    empty = signed_distances(torch.ones(0, 3, 4, 5, dtype=torch.int64), 4)
    assert (empty.shape, empty.dtype) == ((0, 3, 3, 4, 5), torch.float32)


def test_in_2d_the_boundary_has_one_of_four_neighbors_outside():
    labels = torch.ones(1, 5, 5, dtype=torch.int64)
    labels[0, 0, 0] = 0
    found = signed_distances(labels, 2)[0, 0]
    assert found[0, 1] == found[1, 0] == 0
    assert found[1, 1] < 0  # it touches the background only by a corner


@given(arrays(np.int64, (2, 5, 4), elements=st.integers(0, 2)))
def test_a_slice_has_the_distances_of_a_volume_of_one_slice(indices):
    labels = torch.from_numpy(indices)
    assert torch.equal(signed_distances(labels, 3), signed_distances(labels[..., None], 3)[..., 0])


@given(arrays(np.int64, (2, 5, 4, 3), elements=st.integers(0, 2)))
def test_signs_range_and_independence_of_samples(indices):
    labels = torch.from_numpy(indices)
    found = signed_distances(labels, 3)
    assert found.abs().max() <= 1
    for index in (1, 2):
        inside, maps = labels == index, found[:, index - 1]
        present = inside.flatten(1).any(1)[:, None, None, None]
        assert (maps[inside] <= 0).all()
        assert (maps[~inside & present] > 0).all()
    assert torch.equal(found[1:], signed_distances(labels[1:], 3))


def test_the_head_has_a_channel_per_foreground_class_and_the_error_is_that_of_each_sample():
    labeled = make_batch(2, 1, targets=(SIGNED_DISTANCE,)).labeled
    outputs = with_distance_head(TinyBackbone(), TASK)(labeled.image)
    assert outputs.heads[SIGNED_DISTANCE.name].shape == (2, 2, 8, 8, 8)
    assert outputs.logits.shape == (2, 3, 8, 8, 8)
    away = torch.tensor([0.1, 0.3]).reshape(2, 1, 1, 1, 1)
    found = distance_error(labeled.targets[SIGNED_DISTANCE.name] + away, labeled).mean()
    assert found.item() == pytest.approx((0.1**2 + 0.3**2) / 2, rel=1e-4)
