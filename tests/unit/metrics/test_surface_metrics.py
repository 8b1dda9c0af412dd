"""Surface distances: geometry worked out by hand, a brute-force reference, and what all ways of searching share."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from semiseg.metrics import points
from semiseg.metrics.areas import surface_areas
from semiseg.metrics.distances import ASSD, HD, HD95, NSD
from semiseg.metrics.overlap import Dice, Jaccard
from semiseg.metrics.points import border
from semiseg.metrics.surface import border_surfaces
from semiseg.testing.metric import make_pair

ANISOTROPIC = (0.5, 0.8, 3.0)
KINDS = ("maximum", "pooled", "area")


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
        axes = [axis for axis, n in enumerate(mask.shape) if n > 1] or range(3)  # an image of one slice is a plane
        steps = [tuple(step * (i == axis) for i in range(3)) for axis in axes for step in (1, -1)]
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
            border_surfaces(make_pair(voxels((1, 1, 1)), np.zeros((8, 8, 8), dtype=bool)))

    def test_distances_are_in_the_order_of_border_voxels(self):
        found = border_surfaces(make_pair(voxels((0, 0, 0), (0, 0, 3)), voxels((0, 0, 1)), (1, 1, 2)))
        np.testing.assert_allclose(found.from_reference, [2, 4])
        np.testing.assert_allclose(found.from_prediction, [2])


@pytest.fixture(params=["numba", "scipy"])
def backend(request, monkeypatch):
    """Both ways of the same work: compiled loops, and scipy where numba is missing."""
    if request.param == "scipy":
        monkeypatch.setattr(points, "kernels", lambda: None)
    else:
        pytest.importorskip("numba")


class TestOtherDistancesByHand:
    """Two bars of one voxel's width, 10 and 4 voxels long, that begin together: 6 voxels are 1 to 6 away."""

    PAIR = make_pair(cube((1, 1, 1), (11, 2, 2)), cube((1, 1, 1), (5, 2, 2)), (2.0, 1.0, 1.0))
    FAR = (0,) * 4 + (2, 4, 6, 8, 10, 12)

    def test_hd(self):
        assert HD()(self.PAIR) == 12

    def test_assd(self):
        assert ASSD()(self.PAIR) == pytest.approx(sum(self.FAR) / 14)

    def test_pooled_hd95(self):
        pooled = HD95(HD95.Options(kind="pooled"))(self.PAIR)
        assert pooled == pytest.approx(np.percentile([*self.FAR, 0, 0, 0, 0], 95))

    @pytest.mark.parametrize(("tolerance", "within"), [(0, 8), (1.9, 8), (2, 9), (4, 10), (100, 14)])
    def test_nsd(self, tolerance, within):
        assert NSD(NSD.Options(tolerance=tolerance))(self.PAIR) == pytest.approx(within / 14)

    def test_area_weights(self):
        # A voxel of 1 x 2 x 3 mm has 8 corners, each with a triangle through the middles of three edges.
        size = np.array([1.0, 2.0, 3.0])
        one = np.linalg.norm(np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]]) / 8)
        found, areas = surface_areas(np.ones((1, 1, 1), dtype=bool), (1.0, 2.0, 3.0))
        assert found.tolist() == list(range(8))
        np.testing.assert_allclose(areas, one)

    def test_area_of_a_plane_is_its_size(self):
        # Corners in the middle of a slab's faces each stand for one voxel's face.
        found, areas = surface_areas(np.ones((1, 6, 6), dtype=bool), (1.0, 0.5, 3.0))
        inner = np.ravel_multi_index((0, 3, 3), (2, 7, 7))
        assert areas[found.tolist().index(inner)] == pytest.approx(0.5 * 3.0)


@pytest.mark.usefixtures("backend")
class TestAllWaysOfSearching:
    def test_border(self):
        for reference, prediction, _ in random_masks(seed=5, n=200):
            for mask in (reference, prediction, reference.T):
                np.testing.assert_array_equal(points.border_points(mask), np.flatnonzero(border(mask)))

    @pytest.mark.parametrize("settings", [{}, {"_SLICE_COST": 0}, {"_SLICE_COST": 10**6}], ids=str)
    @pytest.mark.parametrize("shells", [True, False])
    def test_nearest(self, monkeypatch, settings, shells):
        for name, value in settings.items():
            monkeypatch.setattr(points, name, value)
        if not shells:  # nothing is found nearby: all is left to the transform, or to looking at every target
            monkeypatch.setattr(points, "_shells", lambda _: (np.zeros((1, 3), dtype=np.int64), np.zeros(1)))
        for reference, prediction, spacing in random_masks(seed=6, n=150, largest=9):
            start, target = np.flatnonzero(reference), np.flatnonzero(prediction)
            places = [np.transpose(np.unravel_index(p, reference.shape)) * spacing for p in (start, target)]
            expected = np.linalg.norm(places[0][:, None] - places[1][None], axis=-1).min(axis=1)
            found = points.nearest(start, target, reference.shape, spacing)
            np.testing.assert_allclose(found, expected, atol=1e-12)

    @pytest.mark.parametrize("cost", [0, 10**6])
    def test_far_apart_in_a_long_grid(self, monkeypatch, cost):
        monkeypatch.setattr(points, "_SLICE_COST", cost)
        # More than 254 voxels along the first axis need more than a byte to count.
        shape = (700, 3, 2)
        start, target = np.array([0, 1, 5, 4199]), np.array([4198])
        x, y, z = np.unravel_index(start, shape)
        expected = np.hypot(np.hypot(699 - x, 2 - y), 0 - z)
        np.testing.assert_allclose(points.nearest(start, target, shape, (1, 1, 1)), expected)

    def test_points_beyond_the_grid_are_refused_before_they_index_anything(self):
        with pytest.raises(ValueError, match="not all in a grid"):
            points.nearest(np.array([0, 8]), np.array([1]), (2, 2, 2), (1, 1, 1))
        with pytest.raises(ValueError, match="not all in a grid"):
            points.nearest(np.array([0]), np.array([-1]), (2, 2, 2), (1, 1, 1))

    def test_no_start_and_no_target(self):
        none = np.array([], dtype=np.int64)
        assert points.nearest(none, np.array([1]), (2, 2, 2), (1, 1, 1)).size == 0
        with pytest.raises(ValueError, match="both masks"):
            points.nearest(np.array([1]), none, (2, 2, 2), (1, 1, 1))


@pytest.mark.slow
@pytest.mark.usefixtures("backend")
def test_thousands_of_tiny_masks_against_brute_force():
    compared = 0
    for reference, prediction, spacing in random_masks(seed=1, n=1500, largest=6):
        value = HD95()(make_pair(reference, prediction, spacing))
        assert value == pytest.approx(brute_force(reference, prediction, spacing), abs=1e-9)
        compared += 1
    assert compared > 1000


@pytest.mark.usefixtures("backend")
def test_larger_random_masks_against_brute_force():
    for reference, prediction, spacing in random_masks(seed=2, n=12, largest=14):
        value = HD95()(make_pair(reference, prediction, spacing))
        assert value == pytest.approx(brute_force(reference, prediction, spacing), abs=1e-9)


masks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6))


@settings(deadline=None)
@given(masks, st.data())
def test_properties_on_any_masks(reference, data):
    prediction = data.draw(arrays(np.bool_, reference.shape))
    image = tuple(n + 4 for n in reference.shape)
    pair = make_pair(reference, prediction, ANISOTROPIC, image)
    swapped = make_pair(prediction, reference, ANISOTROPIC, image)
    symmetric = (Dice(), Jaccard(), HD(), ASSD(), NSD(), *(HD95(HD95.Options(kind=k)) for k in KINDS))
    for metric in symmetric:
        np.testing.assert_equal(metric(pair), metric(swapped))
    if pair.status == "ok":
        assert 0 <= HD95()(pair) <= HD()(pair) <= pair.image_diagonal
        assert HD95(HD95.Options(kind="pooled"))(pair) <= HD()(pair)
        assert ASSD()(pair) <= HD()(pair) * (1 + 1e-12)  # six times 0.8 is summed to 4.800000000000001
        assert NSD(NSD.Options(tolerance=HD()(pair)))(pair) == 1
        larger = make_pair(reference, prediction, tuple(3 * size for size in ANISOTROPIC), image)
        for metric in (HD(), ASSD(), HD95()):
            assert metric(larger) == pytest.approx(3 * metric(pair))
    padded = make_pair(np.pad(reference, 2), np.pad(prediction, 2), ANISOTROPIC)
    np.testing.assert_allclose(HD95()(padded), HD95()(pair), rtol=1e-12)  # the box does not matter
