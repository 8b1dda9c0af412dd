"""Resampling: values worked out by hand, torch and map_coordinates as references, and what holds for any label."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pydantic import ValidationError
from scipy.ndimage import map_coordinates

from semiseg.errors import DataError
from semiseg.preprocessing.prepare import network_grid, prepare
from semiseg.preprocessing.resampling import (
    axis_apart,
    nearest_index,
    resample_channel,
    resample_label,
    resampled_shape,
)
from semiseg.recipe.schema import Intensities, Preprocessing
from semiseg.types import IGNORED, Geometry, Volume


def volume(array, spacing=(1.0, 1.0, 1.0), unit="mm"):
    return Volume(array, Geometry(array.shape[-3:], np.diag([*spacing, 1.0]), unit))


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class TestShapes:
    def test_extent_is_kept_up_to_half_a_voxel(self):
        assert resampled_shape((240, 240, 31), (1, 1, 5), (1, 1, 1)) == (240, 240, 155)
        assert resampled_shape((35, 51, 35), (1, 1, 1), (1.5, 2, 0.8)) == (23, 26, 44)
        assert resampled_shape((3, 3, 1), (1, 1, 1), (1, 1, 10)) == (3, 3, 1)

    def test_the_coarse_axis_is_resampled_apart(self):
        assert axis_apart((1, 1, 5), (1, 1, 1)) == 2
        assert axis_apart((1, 1, 1), (6, 1, 1)) == 0  # the target's
        assert axis_apart((1, 1, 3), (1, 1, 1)) is None  # three times is not more than three times
        assert axis_apart((0.2, 1, 1), (1, 1, 1)) is None  # two axes are equally coarse

    def test_nearest_slices(self):
        assert nearest_index(3, 6).tolist() == [0, 0, 1, 1, 2, 2]
        assert nearest_index(6, 3).tolist() == [1, 3, 5]  # halfway between two: the later
        assert nearest_index(4, 4).tolist() == [0, 1, 2, 3]


class TestImages:
    @pytest.mark.parametrize("grid", [(9, 14, 5), (20, 7, 10), (10, 8, 6)])
    def test_linear_equals_torch(self, grid):
        channel = noise(10, 8, 6)
        expected = torch.nn.functional.interpolate(torch.from_numpy(channel)[None, None], grid, mode="trilinear")
        np.testing.assert_allclose(resample_channel(channel, grid, None, "linear"), expected[0, 0], atol=1e-5)

    def test_splines_equal_interpolation_at_the_centers(self):
        channel, grid = noise(10, 8, 6), (15, 12, 4)
        centers = [(np.arange(n) + 0.5) * old / n - 0.5 for n, old in zip(grid, channel.shape, strict=True)]
        beyond = 12  # the edge is repeated so far that what follows has no weight
        coordinates = [axis + beyond for axis in np.meshgrid(*centers, indexing="ij")]
        expected = map_coordinates(np.pad(channel, beyond, mode="edge"), coordinates, order=3, mode="nearest")
        found = resample_channel(channel, grid, None)
        np.testing.assert_allclose(found, np.clip(expected, channel.min(), channel.max()), atol=1e-4)

    def test_a_plane_of_values_stays_one(self):
        x, y, z = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in (12, 12, 12)), indexing="ij")
        found = resample_channel(2 * x - y + 3 * z, (24, 12, 6), None)
        a, b, c = np.meshgrid(
            (np.arange(24) + 0.5) / 2 - 0.5, np.arange(12), (np.arange(6) + 0.5) * 2 - 0.5, indexing="ij"
        )
        np.testing.assert_allclose(found[4:-4, 3:-3, 2:-2], (2 * a - b + 3 * c)[4:-4, 3:-3, 2:-2], atol=0.05)

    def test_apart_takes_the_nearest_slice_and_interpolates_within_it(self):
        channel = noise(6, 5, 3)
        found = resample_channel(channel, (12, 5, 6), 2)
        for index in range(6):
            expected = resample_channel(np.ascontiguousarray(channel[:, :, index // 2])[..., None], (12, 5, 1), None)
            np.testing.assert_allclose(found[..., index], expected[..., 0], atol=1e-6)

    def test_an_image_on_its_own_grid_is_unchanged(self):
        channel = noise(4, 5, 6)
        assert resample_channel(channel, (4, 5, 6), None) is channel


VALUES = st.sampled_from([0, 1, 4, IGNORED])
labels = arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7), elements=VALUES)


class TestLabels:
    @settings(deadline=None, max_examples=60)
    @given(labels, st.tuples(*[st.integers(1, 12)] * 3), st.sampled_from([None, 0, 1, 2]))
    def test_no_value_is_added_and_a_constant_label_stays(self, label, grid, apart):
        found = resample_label(label, grid, apart)
        assert found.shape == grid
        assert set(np.unique(found)) <= set(np.unique(label))

    def test_a_cube_keeps_its_volume(self):
        label = np.zeros((20, 20, 20), np.uint8)
        label[5:15, 5:15, 5:15] = 3
        finer = resample_label(label, (40, 40, 40), None)
        assert (finer == 3).sum() == 20**3 - 8  # a corner has a share of 0.75 cubed
        assert resample_label(finer, (20, 20, 20), None).tolist() == label.tolist()

    def test_halving_does_not_favor_the_background(self):
        label = np.zeros((20, 1, 1), np.uint8)
        label[5:15] = 3  # both ends lie between two voxels of which one is the background
        halved = resample_label(label, (10, 1, 1), None)
        assert (halved == 3).sum() == 5

    @pytest.mark.parametrize(
        ("pair", "expected"), [((2, 1), 1), ((1, 2), 2), ((IGNORED, 1), 1), ((1, IGNORED), IGNORED)]
    )
    def test_of_equal_shares_the_nearest_voxel_s_wins(self, pair, expected):
        label = np.array(pair, np.uint8).reshape(2, 1, 1)
        assert resample_label(label, (1, 1, 1), None).item() == expected  # halfway between two: the later

    def test_of_equal_shares_that_the_nearest_voxel_has_not_the_lowest_wins(self):
        label = np.array([3, 1, 1, 1, 2, 2, 2, 3], np.uint8).reshape(2, 2, 2)  # shares 3/8, 3/8 and 2/8
        assert resample_label(label, (1, 1, 1), None).item() == 1

    def test_there_are_no_holes_where_three_classes_meet(self):
        label = np.ones((9, 9, 1), np.uint8)
        label[5:, :5], label[5:, 5:] = 2, 3
        assert (resample_label(label, (31, 31, 1), None) > 0).all()


class TestPrepared:
    def test_a_resampled_image_is_normalized_before(self):
        array = noise(2, 12, 10, 4) * 7 + 50
        options = Preprocessing(spacing=(1.0, 1.0, 1.0), foreground="all")
        prepared = prepare(volume(array, (1, 1, 2)), options)
        assert prepared.preparation.shape == (12, 10, 8)
        assert prepared.preparation.box_shape == (12, 10, 4)
        plain = prepare(volume(array, (1, 1, 2)), Preprocessing(foreground="all")).normalized()
        for channel, expected in zip(prepared.normalized(), plain, strict=True):
            np.testing.assert_array_equal(channel, resample_channel(expected, (12, 10, 8), None))

    def test_background_stays_zero(self):
        array = np.zeros((1, 16, 16, 16), np.int16)
        array[0, 4:12, 4:12, 4:12] = np.random.default_rng(0).integers(500, 600, (8, 8, 8))
        array[0, 4, 4, 4] = 1  # the box begins there
        options = Preprocessing(spacing=(0.5, 0.5, 0.5), crop=False)
        found = prepare(volume(array), options).normalized()[0]
        outside = np.ones(found.shape, dtype=bool)
        outside[8:24, 8:24, 8:24] = False
        assert (found[outside] == 0).all()
        assert (found[~outside] != 0).mean() > 0.99

    def test_an_image_with_the_target_s_voxels_is_stored_as_it_is(self):
        array = np.arange(8 * 8 * 8, dtype=np.int16).reshape(1, 8, 8, 8)
        prepared = prepare(volume(array, (0.8, 0.8, 2)), Preprocessing(spacing=(0.8, 0.8, 2.0)))
        assert prepared.array.dtype == np.int16
        assert prepared.preparation.grid is None

    def test_slices_are_resampled_in_their_plane(self):
        array = noise(1, 10, 12, 4)
        options = Preprocessing(spacing=(1.0, 1.0), foreground="all", normalize="none")
        prepared = prepare(volume(array, (2, 1, 8)), options)
        assert prepared.preparation.shape == (20, 12, 4)
        alone = prepare(volume(array[..., 1:2], (2, 1, 8)), options)
        np.testing.assert_array_equal(prepared.array[..., 1], alone.array[..., 0])

    def test_ct_is_clipped_before_it_is_scaled(self):
        array = np.array([-2000, -100, 40, 100, 3000], np.int16).reshape(1, 5, 1, 1)
        known = {"CT": Intensities(low=-100, high=140, mean=40, deviation=30)}
        options = Preprocessing(normalize="ct", foreground="all", intensities=known)
        found = prepare(volume(array), options, modalities=["CT"])
        expected = (np.array([-100, -100, 40, 100, 140]) - 40) / 30
        np.testing.assert_allclose(found.normalized().ravel(), expected, rtol=1e-6)
        again = type(found.preparation).from_dict(found.preparation.as_dict())
        np.testing.assert_array_equal(again.normalize(array), found.normalized())

    def test_modalities_may_differ(self):
        array = np.concatenate([noise(1, 6, 6, 6) * 100, noise(1, 6, 6, 6, seed=1) + 9])
        known = {"CT": Intensities(low=-100, high=100, mean=0, deviation=50)}
        options = Preprocessing(normalize={"pet": "zscore", "CT": "ct"}, foreground="all", intensities=known)
        ct, pet = prepare(volume(array), options, modalities=["CT", "pet"]).normalized()
        assert abs(ct).max() == pytest.approx(2)
        assert pet.mean() == pytest.approx(0, abs=1e-5)

    def test_a_file_without_spacing_is_refused(self):
        with pytest.raises(DataError, match="stores no voxel size"):
            prepare(volume(noise(1, 4, 4, 4), unit="voxel"), Preprocessing(spacing=(1.0, 1.0, 1.0)), "case a")

    def test_a_header_out_of_proportion_is_refused(self):
        geometry = Geometry((4, 4, 4), np.diag([352.0, 1, 1, 1]))
        with pytest.raises(DataError, match=r"its voxels are 352 x 1 x 1 mm"):
            network_grid(geometry, (4, 4, 4), Preprocessing(spacing=(1.0, 1.0, 1.0)))

    def test_pictures_are_never_resampled(self):
        prepared = prepare(volume(noise(1, 4, 4, 1), unit="pixel"), Preprocessing(spacing=(3.0, 3.0), foreground="all"))
        assert prepared.preparation.shape == (4, 4, 1)


class TestResized:
    @pytest.mark.parametrize("unit", ["voxel", "mm"])
    def test_slices_to_a_number_of_pixels_whatever_their_size(self, unit):
        array, options = noise(1, 10, 12, 4), Preprocessing(resize=(5, 18), foreground="all", normalize="none")
        prepared = prepare(volume(array, (2, 1, 8), unit=unit), options)
        assert prepared.preparation.shape == (5, 18, 4)
        for index in range(4):
            expected = resample_channel(array[0, ..., index : index + 1].astype(np.float32), (5, 18, 1), 2)
            np.testing.assert_array_equal(prepared.array[0, ..., index : index + 1], expected)
        label = np.zeros((10, 12, 4), np.uint8)
        label[2:8, 4:10] = 1
        there, _ = prepared.preparation.cut_label(label)
        assert there.shape == (5, 18, 4)
        assert (there == 1).mean() == pytest.approx((label == 1).mean(), abs=0.02)

    def test_volumes_to_a_number_of_voxels(self):
        options = Preprocessing(resize=(8, 8, 8), foreground="all")
        prepared = prepare(volume(noise(1, 16, 8, 4), (1, 1, 2)), options)
        assert (prepared.preparation.shape, prepared.preparation.apart) == ((8, 8, 8), None)
        coarse = prepare(volume(noise(1, 16, 8, 4), (1, 1, 10)), options)
        assert (coarse.preparation.shape, coarse.preparation.apart) == ((8, 8, 8), 2)

    def test_pictures(self):
        options = Preprocessing(resize=(8, 6), foreground="all")
        assert prepare(volume(noise(3, 30, 20, 1), unit="pixel"), options).preparation.shape == (8, 6, 1)

    def test_an_image_of_that_size_stays(self):
        prepared = prepare(volume(noise(1, 6, 6, 4)), Preprocessing(resize=(6, 6), foreground="all"))
        assert prepared.preparation.grid is None

    def test_too_few_voxels_are_refused(self):
        with pytest.raises(DataError, match="case a: it has 2 x 6 x 4 voxels, too few to be resampled to 64 x 64 x 4"):
            prepare(volume(noise(1, 2, 6, 4)), Preprocessing(resize=(64, 64), foreground="all"), "case a")

    def test_spacing_and_resize_contradict_each_other(self):
        with pytest.raises(ValidationError, match="spacing and resize both say"):
            Preprocessing(spacing=(1.0, 1.0), resize=(64, 64))
