"""Turning to R, A, S and back: an exact inverse that leaves every voxel where it is in the world."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semiseg.io.orientation import from_ras, to_ras
from semiseg.types import Geometry

SHAPE = (3, 4, 5)
SIGNED = [(order, signs) for order in permutations(range(3)) for signs in product((-1, 1), repeat=3)]


def geometry_of(order, signs, tilt=0.0):
    axes = np.zeros((3, 3))
    for array_axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        axes[world, array_axis] = sign * (0.5, 1.0, 2.5)[array_axis]
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn @ axes, (10, -20, 30)
    return Geometry(SHAPE, affine, "voxel")


@pytest.mark.parametrize(("order", "signs"), SIGNED)
@pytest.mark.parametrize("channels", [(), (2,)])
def test_all_48_orientations_are_turned_and_turned_back(order, signs, channels):
    geometry = geometry_of(order, signs)
    array = np.arange(np.prod((*channels, *SHAPE))).reshape((*channels, *SHAPE))
    turned, grid = to_ras(array, geometry)
    assert nibabel.aff2axcodes(grid.affine) == ("R", "A", "S")
    assert turned.shape == (*channels, *grid.shape)
    assert grid.unit == "voxel"
    np.testing.assert_array_equal(from_ras(turned, geometry), array)


@given(st.sampled_from(SIGNED), st.floats(-0.7, 0.7), st.tuples(*(st.integers(0, n - 1) for n in SHAPE)))
def test_a_voxel_stays_at_its_place_in_the_world(orientation, tilt, voxel):
    geometry = geometry_of(*orientation, tilt)
    array = np.zeros(SHAPE, np.uint8)
    array[voxel] = 1
    turned, grid = to_ras(array, geometry)
    (found,) = np.argwhere(turned)
    before, after = geometry.affine @ [*voxel, 1], grid.affine @ [*found, 1]
    np.testing.assert_allclose(before, after, atol=1e-9)


def test_lps_by_hand():
    array = np.arange(8).reshape(2, 2, 2)
    turned, grid = to_ras(array, Geometry((2, 2, 2), np.diag([-1.0, -1, 1, 1])))
    np.testing.assert_array_equal(turned, array[::-1, ::-1])
    np.testing.assert_array_equal(grid.affine, [[1, 0, 0, -1], [0, 1, 0, -1], [0, 0, 1, 0], [0, 0, 0, 1]])


def test_what_is_ras_is_left_alone():
    array = np.zeros(SHAPE)
    turned, grid = to_ras(array, Geometry(SHAPE, np.eye(4)))
    assert np.shares_memory(turned, array)
    np.testing.assert_array_equal(grid.affine, np.eye(4))
