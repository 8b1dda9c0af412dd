"""Dice and HD95: geometry worked out by hand, a brute-force reference, MONAI, and where MedPy differs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from semiseg.metrics.dice import Dice
from semiseg.metrics.hausdorff import HD95
from semiseg.metrics.surface import border, directed_distances
from semiseg.testing.metric import make_pair

ANISOTROPIC = (0.5, 0.8, 3.0)


def voxels(*places, shape=(8, 8, 8)):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(np.transpose(places))] = True
    return mask


def cube(low, high, shape=(20, 12, 12)):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def brute_force(reference, prediction, spacing):
    """HD95 from its definition: loops over voxels, neighbors and all distances, nothing shared with the code."""

    def surface(mask):
        padded = np.pad(mask, 1)
        steps = [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
        return [
            place
            for place in map(tuple, np.argwhere(padded).tolist())
            if not all(padded[tuple(p + s for p, s in zip(place, step, strict=True))] for step in steps)
        ]

    def percentile(start, target):
        nearest = sorted(min(math.dist(scale(a), scale(b)) for b in target) for a in start)
        position = 0.95 * (len(nearest) - 1)
        low, high = nearest[math.floor(position)], nearest[math.ceil(position)]
        return low + (high - low) * (position - math.floor(position))

    def scale(place):
        return [p * s for p, s in zip(place, spacing, strict=True)]

    one, other = surface(reference), surface(prediction)
    return max(percentile(one, other), percentile(other, one))


def random_masks(seed, n, largest=7):
    generator = np.random.default_rng(seed)
    for _ in range(n):
        shape = tuple(generator.integers(1, largest, 3))
        masks = [generator.random(shape) < generator.choice([0.05, 0.3, 0.6, 0.95]) for _ in range(2)]
        if masks[0].any() and masks[1].any():
            yield *masks, tuple(generator.choice([0.5, 1.0, 1.7, 3.0], 3).tolist())


class TestByHand:
    def test_two_voxels_are_their_distance_apart(self):
        pair = make_pair(voxels((1, 1, 1)), voxels((4, 5, 1)))
        assert HD95()(pair) == 5
        assert Dice()(pair) == 0

    @pytest.mark.parametrize(("place", "expected"), [((5, 1, 1), 2.0), ((1, 6, 1), 4.0), ((1, 1, 2), 3.0)])
    def test_two_voxels_with_anisotropic_spacing(self, place, expected):
        assert HD95()(make_pair(voxels((1, 1, 1)), voxels(place), ANISOTROPIC)) == pytest.approx(expected)

    def test_diagonal_with_anisotropic_spacing(self):
        pair = make_pair(voxels((0, 0, 0)), voxels((4, 5, 2)), ANISOTROPIC)
        assert HD95()(pair) == pytest.approx(math.sqrt(2**2 + 4**2 + 6**2))

    def test_a_shifted_cube(self):
        # 6³ against itself moved by 2 slices of 3 mm: 4 of 6 slices overlap. Of each 152 border voxels the 36 of the
        # outermost slice (24 %) are 2 slices away, and none is farther.
        pair = make_pair(cube((2, 2, 2), (8, 8, 8)), cube((4, 2, 2), (10, 8, 8)), (3.0, 1.0, 1.0))
        assert Dice()(pair) == pytest.approx(2 * 4 * 36 / (2 * 216))
        assert border(pair.reference).sum() == 6**3 - 4**3
        assert HD95()(pair) == pytest.approx(2.0 * 3.0)

    def test_a_cube_within_a_cube(self):
        # 10³ around 4³, 3 voxels between the faces: from each voxel of the outer border the nearest of the inner cube
        # is at hypot of its overhangs beyond the inner faces, one of which is 3. The other direction is 3 at most.
        outer, inner = cube((1, 1, 1), (11, 11, 11), (12, 12, 12)), cube((4, 4, 4), (8, 8, 8), (12, 12, 12))
        overhang = [max(0, 4 - i, i - 7) for i in range(1, 11)]
        far = sorted(
            math.sqrt(x**2 + y**2 + z**2)
            for x in overhang for y in overhang for z in overhang if 3 in (x, y, z)
        )  # fmt: skip
        assert len(far) == 10**3 - 8**3
        assert HD95()(make_pair(outer, inner)) == pytest.approx(np.percentile(far, 95))

    def test_the_larger_direction_counts_whichever_mask_it_starts_from(self):
        near, with_far = voxels((1, 1, 1)), voxels((1, 1, 1), (1, 1, 5))
        # From {0, 4} the 95th percentile is 0.95 · 4; from the single voxel it is 0.
        assert HD95()(make_pair(near, with_far)) == pytest.approx(3.8)
        assert HD95()(make_pair(with_far, near)) == pytest.approx(3.8)

    def test_voxels_at_the_edge_of_the_image_are_border(self):
        assert border(np.ones((3, 3, 3), dtype=bool)).sum() == 26
        assert border(np.ones((1, 5, 5), dtype=bool)).all()

    def test_diagonal_neighbors_do_not_make_an_inner_voxel_a_border(self):
        mask = np.ones((3, 3, 3), dtype=bool)
        mask[0, 0, 0] = False
        assert not border(mask)[1, 1, 1]
        mask[0, 1, 1] = False
        assert border(mask)[1, 1, 1]

    def test_no_distance_to_nothing(self):
        with pytest.raises(ValueError, match="both masks"):
            directed_distances(voxels((1, 1, 1)), np.zeros((8, 8, 8), dtype=bool), (1, 1, 1))

    def test_distances_are_in_the_order_of_border_voxels(self):
        ours, theirs = directed_distances(voxels((0, 0, 0), (0, 0, 3)), voxels((0, 0, 1)), (1, 1, 2))
        np.testing.assert_allclose(ours, [2, 4])
        np.testing.assert_allclose(theirs, [2])


def test_thousands_of_tiny_masks_against_brute_force():
    compared = 0
    for reference, prediction, spacing in random_masks(seed=1, n=3000, largest=6):
        value = HD95()(make_pair(reference, prediction, spacing))
        assert value == pytest.approx(brute_force(reference, prediction, spacing), abs=1e-9)
        compared += 1
    assert compared > 2000


def test_larger_random_masks_against_brute_force():
    for reference, prediction, spacing in random_masks(seed=2, n=12, largest=14):
        value = HD95()(make_pair(reference, prediction, spacing))
        assert value == pytest.approx(brute_force(reference, prediction, spacing), abs=1e-9)


masks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6))


@settings(deadline=None)
@given(masks, st.data())
def test_properties_on_any_masks(reference, data):
    prediction = data.draw(arrays(np.bool_, reference.shape))
    pair, swapped = make_pair(reference, prediction, ANISOTROPIC), make_pair(prediction, reference, ANISOTROPIC)
    for metric in (Dice(), HD95()):
        np.testing.assert_equal(metric(pair), metric(swapped))
    assert pair.status != "ok" or 0 <= HD95()(pair) <= pair.image_diagonal
    padded = make_pair(np.pad(reference, 2), np.pad(prediction, 2), ANISOTROPIC)
    np.testing.assert_allclose(HD95()(padded), HD95()(pair), rtol=1e-12)  # the box does not matter


class TestReferenceImplementations:
    @pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI's call of itself
    def test_monai(self):
        import torch
        from monai.metrics import compute_dice, compute_hausdorff_distance

        compared = 0
        for reference, prediction, spacing in random_masks(seed=3, n=60, largest=16):
            pair = make_pair(reference, prediction, spacing)
            one_hot = [torch.from_numpy(mask)[None, None] for mask in (prediction, reference)]
            theirs = compute_hausdorff_distance(*one_hot, include_background=True, percentile=95, spacing=spacing)
            assert HD95()(pair) == pytest.approx(float(theirs), abs=1e-3)
            assert np.float32(Dice()(pair)) == np.float32(compute_dice(*one_hot).item())
            compared += 1
        assert compared > 40

    def test_medpy_has_the_same_distances_but_pools_both_directions(self):
        from medpy.metric import binary as medpy

        for reference, prediction, spacing in random_masks(seed=4, n=60, largest=12):
            pair = make_pair(reference, prediction, spacing)
            pooled = np.concatenate(directed_distances(reference, prediction, spacing))
            theirs = medpy.hd95(prediction, reference, voxelspacing=spacing)
            assert np.percentile(pooled, 95) == pytest.approx(theirs, abs=1e-9)
            assert medpy.dc(prediction, reference) == pytest.approx(Dice()(pair), abs=1e-12)

    def test_medpy_hides_what_is_far_off_in_one_direction(self):
        from medpy.metric import binary as medpy

        reference = cube((2, 2, 2), (8, 8, 8), (60, 12, 12))
        prediction = reference.copy()
        prediction[50, 2:5, 2:5] = True  # 9 of 161 predicted border voxels are false and far: 5.6 %, pooled 2.9 %
        assert medpy.hd95(prediction, reference) == 0
        assert HD95()(make_pair(reference, prediction)) > 40


@pytest.mark.parametrize(
    ("metric", "missed", "spurious"), [(Dice(), 0.0, 0.0), (HD95(), math.inf, math.inf)], ids=["dice", "hd95"]
)
def test_empty_masks(metric, missed, spurious):
    full, empty = np.ones((2, 2, 2), dtype=bool), np.zeros((2, 2, 2), dtype=bool)
    assert metric(make_pair(full, empty)) == missed
    assert metric(make_pair(empty, full)) == spurious
    assert math.isnan(metric(make_pair(empty, empty)))
    assert math.isnan(metric(make_pair(np.zeros((0, 0, 0), dtype=bool), np.zeros((0, 0, 0), dtype=bool))))
