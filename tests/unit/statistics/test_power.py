"""The power of the paired t test against published tables and simulation, and the plans made with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t, ttest_1samp

from semiseg.errors import DataError
from semiseg.statistics.power import (
    MOST,
    detectable_effect,
    paired_power,
    pairs_needed,
    plan_cases,
    plan_seeds,
)

nan = np.nan


class TestPower:
    @pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15), (-0.5, 34), (1.0, 10)])
    def test_numbers_of_the_tables(self, effect, n):
        assert pairs_needed(effect) == n
        assert paired_power(effect, n) >= 0.8 > paired_power(effect, n - 1)

    def test_a_tiny_effect_needs_more_than_anyone_has(self):
        assert pairs_needed(0.008) is None
        assert pairs_needed(0.0) is None
        assert pairs_needed(0.009) < MOST

    def test_a_huge_effect_needs_two(self):
        assert pairs_needed(1000.0) == 2
        assert paired_power(1000.0, 500) == 1

    def test_without_an_effect_it_is_alpha(self):
        assert paired_power(0.0, 7) == pytest.approx(0.05)

    @pytest.mark.parametrize(("effect", "n"), [(0.7, 8), (0.3, 40), (2.0, 3)])
    def test_it_is_the_share_of_simulated_tests_that_find_the_effect(self, effect, n):
        drawn = np.random.default_rng(0).normal(effect, 1, (40_000, n))
        found = (ttest_1samp(drawn, 0, axis=1).pvalue < 0.05).mean()
        assert paired_power(effect, n) == pytest.approx(found, abs=0.008)  # three standard errors

    @given(st.floats(0, 5), st.integers(2, 400))
    def test_it_grows_with_the_effect_and_with_n(self, effect, n):
        power = paired_power(effect, n)
        assert 0.05 - 1e-9 <= power <= 1
        assert paired_power(effect * 1.1, n) >= power - 1e-7
        assert paired_power(effect, n + 1) >= power - 1e-7

    @pytest.mark.parametrize("n", [2, 3, 5, 34, 1000])
    def test_the_detectable_effect_has_the_power(self, n):
        assert paired_power(detectable_effect(n), n) == pytest.approx(0.8, abs=1e-6)

    def test_the_detectable_effect_of_many_is_the_normal_one(self):
        # 1.9600 + 0.8416 standard errors
        assert detectable_effect(50_000) == pytest.approx((1.95996 + 0.84162) / np.sqrt(50_000), rel=1e-3)


class TestCases:
    def test_by_hand(self):
        differences = np.array([0.1, 0.3, 0.2, -0.1, 0.0])
        base = np.array([[0.5, 0.6, 0.4, 0.7, 0.3], [0.6, 0.7, 0.5, 0.8, 0.4]])
        found = plan_cases((base + differences, (1, 2)), (base, (1, 2)))
        assert (found.unit, found.n, found.reason) == ("test cases", 5, "")
        assert found.difference == pytest.approx(0.1)
        assert found.std == pytest.approx(np.sqrt(0.1 / 4))  # squares of 0, 0.2, 0.1, -0.2, -0.1 sum to 0.1
        effect = 0.1 / np.sqrt(0.025)
        assert found.needed == pairs_needed(effect) == 22
        assert found.achieved == pytest.approx(paired_power(effect, 5))
        assert found.detectable == pytest.approx(detectable_effect(5) * np.sqrt(0.025))
        assert found.seed_noise == pytest.approx(0)  # each seed has the same differences

    def test_seed_noise_is_the_part_of_the_variance_that_seeds_add(self):
        # A case's differences vary by 1 between cases, and a seed's by 2 within a case: 4/8 of 1 + 4/8.
        generator = np.random.default_rng(0)
        cases, seeds = 4000, 8
        differences = generator.normal(0.2, 1, (1, cases)) + generator.normal(0, 2, (seeds, cases))
        names = tuple(range(seeds))
        paired = plan_cases((differences, names), (np.zeros((seeds, cases)), names))
        assert paired.std**2 == pytest.approx(1.5, rel=0.05)
        assert paired.seed_noise == pytest.approx(1 / 3, rel=0.05)
        apart = plan_cases((differences, names), (np.zeros((3, cases)), ("a", "b", "c")))
        assert apart.seed_noise == pytest.approx(paired.seed_noise)

    def test_shared_seed_noise_cancels_in_any_order(self):
        generator = np.random.default_rng(1)
        shared, differences = generator.normal(0, 5, (3, 6)), generator.normal(0.5, 1, 6)
        found = plan_cases((shared + differences, (1, 2, 3)), (shared[::-1], (3, 2, 1)))
        assert found.seed_noise == pytest.approx(0, abs=1e-12)

    def test_one_seed_says_nothing_of_the_noise_of_seeds(self):
        found = plan_cases((np.array([[0.5, 0.7, 0.9]]), (1,)), (np.array([[0.4, 0.5, 0.9]]), (1,)))
        assert found.seed_noise is None
        assert found.needed is not None

    def test_a_case_that_lacks_a_value_is_left_out(self):
        first = np.array([[0.5, 0.7, nan, 0.9], [0.5, 0.7, 0.2, 0.9]])
        second = np.array([[0.4, nan, 0.1, 0.7]])
        found = plan_cases((first, (1, 2)), (second, (1,)))
        assert (found.n, found.difference) == (2, pytest.approx(0.15))

    @pytest.mark.parametrize(
        ("first", "n", "reason"),
        [
            ([[0.5, nan, nan]], 1, "at least 2 test cases are needed for which both methods have a value; there is 1"),
            ([[nan, nan, nan]], 0, "at least 2 test cases are needed for which both methods have a value; there are 0"),
            ([[0.4, 0.6, 0.6]], 3, "all 3 test cases have the same difference, 0.1"),
            ([[0.3, 0.5, 0.5]], 3, "all 3 test cases have the same difference, 0"),
            ([[0.2, 0.6, 0.5]], 3, "there is no difference on average"),
        ],
    )
    def test_refused(self, first, n, reason):
        found = plan_cases((np.array(first), (1,)), (np.array([[0.3, 0.5, 0.5]]), (1,)))
        assert reason in found.reason
        assert (found.n, found.needed, found.achieved) == (n, None, None)
        assert (found.detectable is not None) == ("on average" in reason)


class TestSeeds:
    def test_by_hand_with_the_seeds_that_both_have(self):
        first = np.array([[0.6, 0.8], [0.5, 0.7], [0.9, 0.9]])
        second = np.array([[0.4, 0.6], [0.5, 0.6], [0.1, 0.1]])
        found = plan_seeds((first, (1, 2, 7)), (second, (2, 1, 8)))
        # Seed 1: 0.7 - 0.55, seed 2: 0.6 - 0.5
        assert (found.unit, found.n, found.seed_noise) == ("seeds", 2, None)
        assert found.difference == pytest.approx(0.125)
        assert found.std == pytest.approx(0.05 / np.sqrt(2))
        assert found.needed == pairs_needed(0.125 * np.sqrt(2) / 0.05) == 3

    @pytest.mark.parametrize(("names", "count"), [((3, 4), "are 0"), ((1, 4), "is 1")])
    def test_seeds_that_are_not_the_same_are_no_pairs(self, names, count):
        values = np.array([[0.5, 0.6], [0.7, 0.7]])
        found = plan_seeds((values, (1, 2)), (values + 0.1, names))
        assert found.reason.endswith(
            f"at least 2 seeds are needed for which both methods have a seed of the same name; there {count}"
        )
        assert found.needed is None

    def test_no_case(self):
        assert plan_seeds((np.array([[nan]]), (1,)), (np.array([[0.4]]), (1,))).n == 0


class TestInput:
    @pytest.mark.parametrize("plan", [plan_cases, plan_seeds])
    def test_arrays_that_do_not_fit(self, plan):
        with pytest.raises(DataError) as error:
            plan((np.zeros((2, 3)), (1,)), (np.zeros((2, 3)), (1, 1)))
        assert "first: values are (seeds, cases) with a name for each seed, not (2, 3) with 1." in str(error.value)
        assert "second: the names of the seeds are not all different: 1, 1." in str(error.value)
        with pytest.raises(DataError, match="different numbers of cases: 3, 4"):
            plan((np.zeros((1, 3)), (1,)), (np.zeros((1, 4)), (1,)))


def test_the_plan_agrees_with_the_t_test_s_p():
    # With half the power or so, the statistic is at the critical value: p is about alpha.
    generator = np.random.default_rng(4)
    differences = generator.normal(0, 1, 30)
    differences = (differences - differences.mean()) / differences.std(ddof=1)
    differences = differences + t.isf(0.025, 29) / np.sqrt(30)
    found = plan_cases((differences[None], (1,)), (np.zeros((1, 30)), (1,)))
    assert ttest_1samp(differences, 0).pvalue == pytest.approx(0.05)
    assert found.achieved == pytest.approx(0.5, abs=0.02)
