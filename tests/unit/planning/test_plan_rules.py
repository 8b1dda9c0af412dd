"""The rules of the plan on cases measured by hand, and nnU-Net's own numbers for known datasets."""

import numpy as np
import pytest

from semiseg.planning.measures import QUANTILES, CaseMeasures, ChannelMeasures, looks_like_ct
from semiseg.planning.patches import plan_batch, plan_patch
from semiseg.planning.rules import intensities_of, is_ct, median_shape, target_spacing, zero_is_background


def case(spacing, box, *, zeros=0.0, channels=None, name="a"):
    channels = channels or (ChannelMeasures(False),)
    return CaseMeasures(name, spacing, box, box, zeros, "mm", channels)


def channel(values):
    values = np.asarray(values, np.float64)
    quantiles = np.quantile(values, (np.arange(QUANTILES) + 0.5) / QUANTILES)
    return ChannelMeasures(False, values.size, values.mean(), values.std(), tuple(quantiles))


class TestSpacing:
    def test_the_median(self):
        cases = [case((1, 1, 1), (50, 50, 50)), case((2, 1, 1), (50, 50, 50)), case((4, 1, 2), (50, 50, 50))]
        assert target_spacing(cases) == (2, 1, 1)

    def test_along_a_coarse_axis_with_few_slices_the_tenth_percentile(self):
        coarse = [case((1.5, 1.5, size), (230, 240, 10)) for size in (5, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10)]
        assert target_spacing(coarse) == (1.5, 1.5, 10)
        coarse[1:3] = [case((1.5, 1.5, 5), (230, 240, 18))] * 2
        assert target_spacing(coarse) == (1.5, 1.5, 5)

    def test_it_is_not_finer_than_the_others(self):
        cases = [case((1.5, 1.5, 1.0), (230, 240, 20))] * 2 + [case((1.5, 1.5, 10), (230, 240, 10))] * 9
        assert target_spacing(cases) == (1.5, 1.5, 1.5)

    def test_a_coarse_axis_with_many_slices_keeps_the_median(self):
        cases = [case((1, 1, size), (100, 100, 90)) for size in (2, 5, 5, 5)]
        assert target_spacing(cases) == (1, 1, 5)

    def test_none_without_a_spacing(self):
        assert target_spacing([case(None, (4, 4, 4))]) is None


class TestShape:
    @pytest.mark.parametrize(("margin", "expected"), [(None, (8, 8)), (0, (4, 6)), (1, (6, 8)), (3, (8, 8))])
    def test_a_box_with_its_margin_ends_at_the_image(self, margin, expected):
        one = CaseMeasures("a", (1, 1, 1), (8, 8, 8), (4, 6, 5), 0.5, "mm", (ChannelMeasures(False),))
        assert median_shape([one], None, margin, lambda case: (0, 1)) == expected


class TestIntensities:
    def test_ct_by_name(self):
        for name, expected in {"CT": True, "ct_portal": True, "contrast": False, "CTA": False, "T1ct": False}.items():
            assert is_ct(name, 0, [case((1, 1, 1), (4, 4, 4))]) is expected

    def test_ct_by_hounsfield_values(self):
        generator = np.random.default_rng(0)
        body = generator.normal(40, 60, (20, 20, 20))
        body[:3] = -1000
        body[10, 10] = 700
        assert looks_like_ct(body.astype(np.int16))
        assert not looks_like_ct(np.clip(body, -160, 240))  # windowed
        assert not looks_like_ct(generator.normal(size=(20, 20, 20)))
        assert not looks_like_ct(np.zeros((0, 4, 4)))

    def test_each_case_counts_alike(self):
        few, many = np.linspace(0, 1, 1001), np.linspace(10, 11, 100_001)
        found = intensities_of(0, [case((1, 1, 1), (4, 4, 4), channels=(channel(v),)) for v in (few, many)])
        assert (found.mean, found.low, found.high) == pytest.approx((5.5, 0.01, 10.99), abs=2e-3)
        assert found.deviation == pytest.approx(np.concatenate([few, np.linspace(10, 11, 1001)]).std(), rel=1e-3)

    def test_none_without_foreground(self):
        assert intensities_of(0, [case((1, 1, 1), (4, 4, 4))]) is None
        assert intensities_of(0, [case((1, 1, 1), (4, 4, 4), channels=(channel([3, 3, 3]),))]) is None

    def test_zeros(self):
        assert zero_is_background([case((1, 1, 1), (4, 4, 4), zeros=share) for share in (0.0, 0.2, 0.3)])
        assert not zero_is_background([case((1, 1, 1), (4, 4, 4), zeros=share) for share in (0.0, 0.01, 0.3)])


def any_patch(patch):
    return False


class TestPatch:
    def test_all_of_a_small_image_rounded_up_to_what_the_topology_divides(self):
        # nnU-Net's own plan for the Decathlon's hippocampus: median 36 x 50 x 35, patch 40 x 56 x 40
        assert plan_patch((36, 50, 35), (1, 1, 1), lambda patch, n: True, any_patch) == (40, 56, 40)

    def test_the_relatively_longest_side_is_shortened_until_it_fits(self):
        fits = lambda patch, n: np.prod(patch) * n <= 2 * 128**3  # noqa: E731
        patch = plan_patch((138, 170, 138), (1, 1, 1), fits, any_patch)
        assert np.prod(patch) <= 128**3
        assert np.prod(patch) > 0.8 * 128**3
        assert patch[1] >= patch[0] == patch[2]

    def test_a_median_between_two_numbers_is_not_rounded(self):
        # nnU-Net's own plan for eight cases of BraTS: rounded to 136 x 170 x 139, R and A would be cut equally, R first
        fits = lambda patch, n: np.prod(patch) * n <= 2 * 2.4e6  # noqa: E731
        assert plan_patch((136, 169.5, 138.5), (1, 1, 1), fits, any_patch) == (128, 128, 128)
        assert plan_patch((136, 170, 139), (1, 1, 1), fits, any_patch) == (112, 160, 128)

    def test_proportions_follow_the_extent_not_the_voxels(self):
        fits = lambda patch, n: np.prod(patch) <= 64 * 64 * 16  # noqa: E731
        x, y, z = plan_patch((512, 512, 128), (0.8, 0.8, 3.2), fits, any_patch)
        assert x == y
        assert x * 0.8 == pytest.approx(z * 3.2, rel=0.3)

    def test_a_patch_that_the_backbone_refuses_is_not_chosen(self):
        sixteen = lambda patch: any(n % 16 for n in patch)  # noqa: E731
        assert plan_patch((36, 50, 35), (1, 1, 1), lambda patch, n: True, sixteen) == (48, 64, 48)

    def test_if_nothing_fits_it_is_small(self):
        assert plan_patch((200, 200), (1, 1), lambda patch, n: False, any_patch) == (16, 16)

    def test_the_batch_grows_while_it_fits_up_to_a_twentieth_of_the_data(self):
        assert plan_batch((32, 32, 32), lambda patch, n: n <= 9, 1e9) == 9
        assert plan_batch((32, 32, 32), lambda patch, n: n <= 9, 1e9, step=2) == 8  # as many of each stream
        assert plan_batch((32, 32, 32), lambda patch, n: True, 100 * 32**3) == 5
        assert plan_batch((32, 32, 32), lambda patch, n: False, 1e9) == 2
