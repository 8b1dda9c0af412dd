"""nnU-Net's plans, computed by hand: halve while 4 voxels remain, coarse axes later."""

import pytest

from semiseg.plugin import planned_topology

ALL = (2, 2, 2)
ONE = (1, 1, 1)
CUBE = (3, 3, 3)


def test_an_axis_too_short_to_be_halved_at_all():
    """nnU-Net's own function stops with an IndexError here."""
    topology = planned_topology((64, 64, 4))
    assert topology.strides == (ONE, *[(2, 2, 1)] * 4)
    assert topology.kernel_sizes == (CUBE,) * 5


@pytest.mark.parametrize(
    ("patch", "strides"),
    [
        ((128, 128, 128), (ONE, *[ALL] * 5)),  # 128 64 32 16 8 4
        ((40, 56, 40), (ONE, *[ALL] * 3)),  # 40 20 10 5: halved again it would be 3
        ((112, 160, 128), (ONE, *[ALL] * 4, (1, 2, 2))),  # 7 10 8, then only the last two halve
        ((80, 192, 160), (ONE, *[ALL] * 4, (1, 2, 2))),  # 5 12 10
        ((32, 32, 32), (ONE, *[ALL] * 3)),
        ((24, 8, 8), (ONE, ALL, (2, 1, 1))),  # 12 4 4: a single axis needs 12 voxels
        ((16, 8, 8), (ONE, ALL)),  # 8 4 4: too few for a single axis
        ((33, 35, 37), (ONE, *[ALL] * 3)),  # rounded up: 17 18 19, 9 9 10, 5 5 5
        ((15, 15, 15), (ONE, ALL, ALL)),  # 8 8 8 by rounding up, 4 4 4
        ((4, 4, 4), (ONE,)),
    ],
)
def test_strides_follow_from_the_patch(patch, strides):
    topology = planned_topology(patch)
    assert topology.strides == strides
    assert topology.kernel_sizes == (CUBE,) * len(strides)


@pytest.mark.parametrize(
    ("patch", "stages", "factors"),
    [
        ((512, 512), 8, (128, 128)),  # 512 256 128 64 32 16 8 4
        ((256, 224), 6, (32, 32)),  # 256 224, ..., 8 7: a single axis needs 12
        ((384, 224), 7, (64, 32)),  # 384 224, ..., 12 7, and then 6 7
        ((256, 216), 6, (32, 32)),  # 256 216, 128 108, 64 54, 32 27, 16 14, 8 7
        ((56, 40), 4, (8, 8)),  # 56 40, 28 20, 14 10, 7 5
        ((40, 40), 4, (8, 8)),
        ((12, 7), 2, (2, 1)),  # 6 7
        ((8, 7), 1, (1, 1)),
    ],
)
def test_plans_in_2d(patch, stages, factors):
    topology = planned_topology(patch)
    assert len(topology.strides) == stages
    assert topology.factors[-1] == factors
    assert topology.kernel_sizes == ((3, 3),) * stages


def test_in_2d_too_a_coarse_axis_is_halved_later():
    # 4 to 1, 4 to 2, 4 to 4; sides 32 128, 32 64, 32 32, 16 16, 8 8, 4 4
    topology = planned_topology((32, 128), (4.0, 1.0))
    assert topology.strides == ((1, 1), (1, 2), (1, 2), (2, 2), (2, 2), (2, 2))
    assert topology.kernel_sizes == ((1, 3), (1, 3), (3, 3), (3, 3), (3, 3), (3, 3))
    turned = planned_topology((128, 32), (1.0, 4.0))
    assert turned.strides == tuple((y, x) for x, y in topology.strides)


def test_a_coarse_axis_is_halved_later_and_its_kernels_span_one_voxel_until_then():
    # 10 to 1.5, 10 to 3, then 10 to 6; sides 20 64 56, ..., 5 8 7
    topology = planned_topology((20, 256, 224), (10.0, 1.5, 1.5))
    flat, late = (1, 2, 2), (1, 3, 3)
    assert topology.strides == (ONE, flat, flat, ALL, ALL, flat)
    assert topology.kernel_sizes == (late, late, CUBE, CUBE, CUBE, CUBE)
    assert topology.factors[-1] == (4, 32, 32)


def test_the_coarse_axis_may_be_any():
    first, last = planned_topology((20, 256, 224), (10.0, 1.5, 1.5)), planned_topology((256, 224, 20), (1.5, 1.5, 10.0))
    assert last.strides == tuple((y, z, x) for x, y, z in first.strides)
    assert last.kernel_sizes == tuple((y, z, x) for x, y, z in first.kernel_sizes)


def test_it_ends_early_where_told():
    assert planned_topology((128, 128, 128), n_stages=4).strides == planned_topology((128, 128, 128)).strides[:4]
    assert planned_topology((32, 32, 32), n_stages=9) == planned_topology((32, 32, 32))
    flat = planned_topology((8, 64, 64), (10.0, 1.0, 1.0), n_stages=3)
    assert flat.kernel_sizes == ((1, 3, 3), (1, 3, 3), CUBE)


def test_factors_are_the_products_of_the_strides():
    assert planned_topology((112, 160, 128)).factors[-2:] == ((16, 16, 16), (16, 32, 32))
