"""The statistics of a comparison against hand-computed values, closed forms and scipy."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, wilcoxon

from semiseg.statistics import bootstrap
from semiseg.statistics.bootstrap import RESAMPLES, bootstrap_interval, resampled_means
from semiseg.statistics.paired import holm, paired_differences, signed_rank
from semiseg.statistics.ranking import rank_stability

nan = np.nan


class TestSignedRank:
    def test_by_hand(self):
        # Of the 32 choices of ranks 1 to 5, ten have a sum of 5 or less: {}, 1, 2, 3, 4, 5, 12, 13, 14, 23.
        found = signed_rank(np.array([1.0, 2.0, 3.0, 4.0, -5.0]))
        assert found.p == pytest.approx(2 * 10 / 32)
        assert found.effect == pytest.approx((10 - 5) / 15)

    def test_ties_by_hand(self):
        # Ranks 2, 2, 2, 4, the 4 negative: of 16 choices, {}, 2, 2, 2, 22, 22, 22 and 4 have a sum of 4 or less.
        assert signed_rank(np.array([1.0, 1.0, 1.0, -2.0])).p == pytest.approx(1.0)
        assert signed_rank(np.array([1.0, 1.0, 1.0, 2.0])).p == pytest.approx(2 / 16)

    def test_zeros_take_the_low_ranks(self):
        # Pratt: the zeros have rank 1.5, the others 3, 4, 5, 6 with 3 negative. Below 3: {}, at 3: {3}; 2 of 16.
        found = signed_rank(np.array([0.0, 0.0, -1.0, 2.0, 3.0, 4.0]))
        assert found.p == pytest.approx(2 * 2 / 16)
        assert found.effect == pytest.approx((15 - 3) / 18)

    @pytest.mark.parametrize("n", [1, 2, 6, 7, 20, 50])
    def test_without_ties_it_is_scipy_s_exact_test(self, n):
        differences = np.random.default_rng(n).normal(0.3, 1, size=n)
        assert signed_rank(differences).p == pytest.approx(wilcoxon(differences, method="exact").pvalue, rel=1e-12)

    @pytest.mark.parametrize("seed", range(4))
    def test_with_ties_and_zeros_it_is_scipy_s_test_of_all_signs(self, seed):
        differences = np.random.default_rng(seed).integers(-3, 5, size=9).astype(float)
        assert len(set(np.abs(differences))) < 9
        assert signed_rank(differences).p == pytest.approx(wilcoxon(differences, zero_method="pratt").pvalue)

    def test_of_many_cases_it_is_scipy_s_normal_approximation(self):
        differences = np.random.default_rng(0).integers(-30, 40, size=200).astype(float)
        expected = wilcoxon(differences, zero_method="pratt", method="asymptotic").pvalue
        assert signed_rank(differences).p == pytest.approx(expected, rel=1e-12)

    def test_of_fifty_cases_the_exact_p_is_close_to_the_approximation(self):
        differences = np.round(np.random.default_rng(1).normal(0.2, 1, size=50), 1)
        expected = wilcoxon(differences, zero_method="pratt", method="asymptotic").pvalue
        assert signed_rank(differences).p == pytest.approx(expected, rel=0.05)

    @pytest.mark.parametrize("differences", [[], [0.0], [0.0] * 60])
    def test_nothing_differs(self, differences):
        assert signed_rank(np.array(differences)).p == 1.0

    @given(st.lists(st.integers(-5, 5), max_size=12), st.randoms())
    def test_swapped_sides_and_shuffled_cases(self, values, random):
        differences = np.array(values, dtype=float)
        found, turned = signed_rank(differences), signed_rank(-differences)
        assert (turned.p, turned.effect) == (found.p, -found.effect)
        shuffled = signed_rank(np.array(random.sample(values, len(values)), dtype=float))
        assert (shuffled.p, shuffled.effect) == pytest.approx((found.p, found.effect))
        assert 2 ** (1 - len(values)) <= found.p <= 1 or found.p == 1

    def test_differences_are_of_cases_that_both_have_and_free_of_noise(self):
        values = np.array([0.1 + 0.2, nan, 0.5, 0.9])
        assert values[0] != 0.3
        assert paired_differences(values, np.array([0.3, 0.2, nan, 0.4])).tolist() == [0.0, 0.5]


class TestHolm:
    def test_by_hand(self):
        # 4 · 0.005, 3 · 0.01, 2 · 0.03, and 0.04, which is not below the one before.
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_at_most_one(self):
        assert holm([0.6, 0.9]) == [1.0, 1.0]
        assert holm([]) == []

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
    def test_never_below_the_p_itself_nor_above_bonferroni_and_in_the_same_order(self, p_values):
        adjusted = holm(p_values)
        assert all(p <= a <= min(1, p * len(p_values)) for p, a in zip(p_values, adjusted, strict=True))
        ordered = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
        assert ordered == sorted(ordered)
        assert min(adjusted) == min(1, len(p_values) * min(p_values))


class TestBootstrap:
    def variance(self, values):
        """Of the mean of (seeds, cases), both drawn with replacement, on their own: exact, for these values."""
        seeds, cases = values.shape
        rows, columns = values.mean(axis=1), values.mean(axis=0)
        rest = values - rows[:, None] - columns + values.mean()
        return rows.var() / seeds + columns.var() / cases + (rest**2).mean() / (seeds * cases)

    def test_the_variance_is_that_of_cases_and_seeds(self):
        generator = np.random.default_rng(0)
        values = generator.normal(0, 2, (4, 1)) + generator.normal(0, 3, (1, 30)) + generator.normal(0, 1, (4, 30))
        means = resampled_means({"a": values[..., None]}, {"a": (1, 2, 3, 4)})["a"]
        assert means.shape == (RESAMPLES, 1)
        assert means.mean() == pytest.approx(values.mean(), abs=0.05)
        assert means.var() == pytest.approx(self.variance(values), rel=0.06)
        one = resampled_means({"a": values[:1, :, None]}, {"a": (1,)})["a"]
        assert one.var() == pytest.approx(values[0].var() / 30, rel=0.06)

    def test_methods_share_cases_and_those_with_the_same_seeds_share_seeds(self):
        generator = np.random.default_rng(1)
        seed_effect = generator.normal(0, 1, (3, 1, 1))
        values = seed_effect + generator.normal(0, 5, (1, 20, 1))
        shifted = {"a": values, "b": values + 0.25}
        paired = resampled_means(shifted, {"a": (1, 2, 3), "b": (1, 2, 3)})
        assert paired["b"] - paired["a"] == pytest.approx(0.25)
        apart = resampled_means(shifted, {"a": (1, 2, 3), "b": (4, 5, 6)})
        assert (apart["b"] - apart["a"]).var() == pytest.approx(2 * seed_effect.var() / 3, rel=0.06)

    def test_one_seed_has_the_interval_of_the_cases(self):
        values = np.random.default_rng(3).normal(size=(60, 1))
        means = resampled_means({"a": values[None]}, {"a": (1,)})["a"]
        assert bootstrap.interval_of(means) == bootstrap_interval(values)
        assert np.quantile(means, [0.025, 0.975]) == pytest.approx(bootstrap_interval(values), rel=1e-12)

    def test_a_class_has_the_same_samples_alone_to_the_last_digit(self):
        values = np.random.default_rng(5).normal(size=(3, 40, 11))
        values[:, 7, 2] = nan
        together = resampled_means({"a": values, "b": values + 1}, {"a": (1, 2, 3), "b": (4, 5, 6)})["a"]
        for name in range(11):
            alone = resampled_means({"a": values[..., [name]]}, {"a": (1, 2, 3)})["a"]
            assert np.array_equal(alone[:, 0], together[:, name])

    def test_memory_does_not_grow_with_the_cases(self, monkeypatch):
        monkeypatch.setattr(bootstrap, "RESAMPLES", 2000)
        values = np.random.default_rng(6).normal(size=(5000, 2))  # the draws of all samples take 80 MB
        tracemalloc.start()
        bootstrap_interval(values)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 50e6

    def test_values_left_out_do_not_count(self):
        values = np.array([[[1.0, 5.0], [3.0, nan]], [[1.0, 7.0], [3.0, nan]]])
        means = resampled_means({"a": values}, {"a": (1, 2)})["a"]
        assert set(np.unique(means[:, 0])) == {1.0, 2.0, 3.0}
        assert set(np.unique(means[np.isfinite(means[:, 1]), 1])) == {5.0, 6.0, 7.0}
        assert np.isnan(means[means[:, 0] == 3.0, 1]).all()  # drawn: the second case alone


class TestRanks:
    def test_methods_far_apart_never_change_places(self):
        generator = np.random.default_rng(0)
        samples = np.array([0.9, 0.5, 0.7]) + generator.uniform(-0.05, 0.05, (500, 3))
        found = rank_stability(np.array([0.9, 0.5, 0.7]), samples, higher_is_better=True)
        assert found.ranks == [1, 3, 2]
        assert found.first == [1, 0, 0]
        assert found.mean_ranks == [1, 3, 2]
        assert found.intervals == [(1, 1), (3, 3), (2, 2)]
        assert found.tau == 1
        turned = rank_stability(np.array([0.9, 0.5, 0.7]), samples, higher_is_better=False)
        assert (turned.ranks, turned.first, turned.tau) == ([3, 1, 2], [0, 1, 0], 1)

    def test_by_hand(self):
        samples = np.array([[3.0, 2.0, 1.0], [2.0, 3.0, 1.0], [1.0, 2.0, 3.0], [2.0, 2.0, 1.0]])
        found = rank_stability(np.array([3.0, 2.0, 1.0]), samples, higher_is_better=True)
        assert found.first == pytest.approx([1.5 / 4, 1.5 / 4, 1 / 4])
        assert found.mean_ranks == pytest.approx([(1 + 2 + 3 + 1.5) / 4, (2 + 1 + 2 + 1.5) / 4, (3 + 3 + 1 + 3) / 4])
        # Pairs that agree less those that do not: 3, 1, -3 of 3, and 2 of sqrt(3 · 2) where two tie.
        assert found.tau == pytest.approx((1 + 1 / 3 - 1 + 2 / 6**0.5) / 4)

    def test_tau_is_scipy_s(self):
        generator = np.random.default_rng(5)
        means, samples = generator.integers(0, 5, 6).astype(float), generator.integers(0, 5, (50, 6)).astype(float)
        expected = np.mean([kendalltau(means, sample).statistic for sample in samples])
        assert rank_stability(means, samples, higher_is_better=True).tau == pytest.approx(expected)

    def test_methods_that_are_alike_share_everything(self):
        found = rank_stability(np.full(2, 0.1 + 0.2), np.array([[0.3, 0.1 + 0.2]] * 8), higher_is_better=True)
        assert (found.ranks, found.first, found.mean_ranks, found.tau) == ([1.5, 1.5], [0.5, 0.5], [1.5, 1.5], None)
