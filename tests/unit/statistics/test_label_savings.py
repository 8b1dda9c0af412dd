"""How many labels of the baseline a method's are worth: by hand, in closed form, and where the truth is known."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from semiseg.errors import DataError
from semiseg.statistics import bootstrap
from semiseg.statistics.label_curve import arm_means
from semiseg.statistics.label_savings import label_savings

nan = np.nan
CASES = np.array([-0.1, 0.0, 0.02, 0.08])


def arm(mean, seeds=(1, 2), cases=CASES):
    """Values (seeds, cases, 2 classes) of a mean; all arms made so differ by a constant, in every sample."""
    effects = np.array([-0.01, 0.01])
    return mean + np.linspace(-1, 1, len(seeds))[:, None, None] / 50 + cases[:, None] + effects, seeds


def constant(value, cases=2):
    return np.full((1, cases, 1), value), (1,)


def worth_of(score, curve, *, higher=True):
    return label_savings({n: arm(mean) for n, mean in curve.items()}, {5: arm(score)}, higher_is_better=higher)[0]


class TestWorth:
    def test_halfway_between_two_counts_is_their_geometric_mean(self):
        found = worth_of(0.6, {10: 0.5, 40: 0.7})
        assert (found.labeled, found.curve_ends, found.below, found.above) == (5, (10, 40), False, False)
        # Every sample moves all arms alike, so that the interval has no width.
        assert [found.worth, found.low, found.high] == pytest.approx([20, 20, 20])
        assert (found.share_below, found.share_above) == (0, 0)

    def test_a_curve_that_falls_is_pooled_and_its_first_count_is_what_reaches_it(self):
        curve = {10: 0.5, 20: 0.8, 40: 0.6}  # monotone: 0.5, 0.7, 0.7
        assert worth_of(0.6, curve).worth == pytest.approx(np.sqrt(10 * 20))
        assert worth_of(0.7, curve).worth == pytest.approx(20)
        assert worth_of(0.71, curve).above

    def test_flat_parts_at_the_beginning_and_within(self):
        for value in (0.1, 0.3, 0.7):  # pooled in float64, three of them may be a little more than each
            assert worth_of(value, {10: value, 20: value, 40: value}).worth == pytest.approx(10)
        assert worth_of(0.5, {10: 0.5, 20: 0.5, 40: 0.7}).worth == pytest.approx(10)
        assert worth_of(0.5, {5: 0.3, 10: 0.5, 20: 0.5, 30: 0.5, 40: 0.7}).worth == pytest.approx(10)
        assert worth_of(0.6, {10: 0.5, 20: 0.5, 40: 0.7}).worth == pytest.approx(np.sqrt(20 * 40))

    @pytest.mark.parametrize("n", [4, 7, 12, 50, 99, 100])
    def test_on_a_curve_that_is_linear_in_the_logarithm_it_is_the_inverse(self, n):
        curve = {k: 0.2 + 0.1 * np.log(k) for k in (4, 12, 25, 50, 100)}
        found = worth_of(0.2 + 0.1 * np.log(n), curve)
        assert [found.worth, found.low, found.high] == pytest.approx([n, n, n], rel=1e-9)

    def test_of_a_distance_lower_is_better(self):
        assert worth_of(6.0, {10: 7.0, 40: 5.0}, higher=False).worth == pytest.approx(20)
        assert worth_of(4.0, {10: 7.0, 40: 5.0}, higher=False).above
        assert worth_of(8.0, {10: 7.0, 40: 5.0}, higher=False).below

    def test_the_baseline_itself_is_worth_its_own_labels(self):
        generator = np.random.default_rng(0)
        curve = {n: (np.log(n) + generator.normal(0, 0.02, (3, 9, 2)), (1, 2, 3)) for n in (5, 10, 50)}
        found = label_savings(curve, curve, higher_is_better=True)
        assert [f.labeled for f in found] == [5, 10, 50]
        for n, savings in zip((5, 10, 50), found, strict=True):
            assert [savings.worth, savings.low, savings.high] == pytest.approx([n, n, n])

    def test_beyond_the_ends_there_is_no_number(self):
        above, below = worth_of(0.9, {10: 0.5, 40: 0.7}), worth_of(0.4, {10: 0.5, 40: 0.7})
        assert (above.worth, above.low, above.high) == (None, None, None)
        assert (above.above, above.low_side, above.high_side, above.share_above) == (True, "above", "above", 1)
        assert (below.below, below.low_side, below.high_side, below.share_below) == (True, "below", "below", 1)

    def test_samples_beyond_the_ends_by_hand(self):
        # Two cases, 0.4 and 0.6: a sample's mean is 0.4 in a quarter, 0.5 in a half, 0.6 in a quarter of the samples.
        method = {5: (np.array([[[0.4], [0.6]]]), (1,))}
        found = label_savings({10: constant(0.45), 40: constant(0.55)}, method, higher_is_better=True)[0]
        assert found.worth == pytest.approx(20)
        assert [found.share_below, found.share_above] == pytest.approx([0.25, 0.25], abs=0.02)
        assert (found.low, found.low_side, found.high, found.high_side) == (None, "below", None, "above")
        half = label_savings({10: constant(0.4), 90: constant(0.5)}, method, higher_is_better=True)[0]
        assert (half.low, half.high, half.high_side) == (pytest.approx(10), None, "above")
        assert half.share_below == 0

    @settings(max_examples=15, deadline=None)
    @given(
        st.lists(st.floats(-1, 1), min_size=2, max_size=5),
        st.lists(st.floats(-1.2, 1.2), min_size=2, max_size=6),
        st.integers(0, 9),
    )
    def test_a_better_score_is_never_worth_less(self, curve, scores, seed):
        noise = np.random.default_rng(seed).normal(0, 0.3, (len(curve) + 1, 2, 6, 1))
        baseline = {2 + 5 * k: (mean + noise[k], (1, 2)) for k, mean in enumerate(curve)}
        method = {k: (score + noise[-1], (1, 2)) for k, score in enumerate(sorted(scores), start=1)}
        assume(curve[-1] + noise[len(curve) - 1].mean() > curve[0] + noise[0].mean())
        found = label_savings(baseline, method, higher_is_better=True)

        def number(value, side):
            return {"": value, "below": -np.inf, "above": np.inf}[side]

        for part in ("worth", "low", "high"):
            name = "side" if part == "worth" else f"{part}_side"
            numbers = [number(getattr(f, part), getattr(f, name)) for f in found]
            assert all(b >= a - 1e-9 for a, b in pairwise(numbers))
        assert all(2 - 1e-9 <= f.worth <= f.curve_ends[1] + 1e-9 for f in found if f.worth is not None)

    def test_the_interval_has_the_truth_about_as_often_as_it_says(self, monkeypatch):
        monkeypatch.setattr(bootstrap, "RESAMPLES", 400)
        counts, truth, trials, hits = (5, 10, 20, 40, 80), 25, 150, 0
        for trial in range(trials):
            generator = np.random.default_rng(trial)
            cases = generator.normal(0, 0.3, (1, 30, 1))

            def observed(n, generator=generator, cases=cases):
                own = cases + generator.normal(0, 0.1, (1, 30, 1))  # what a case is to networks of so many labels
                noise = generator.normal(0, 0.01, (5, 1, 1)) + generator.normal(0, 0.05, (5, 30, 1))
                return 0.2 * np.log(n) + own + noise, (1, 2, 3, 4, 5)

            curve = {n: observed(n) for n in counts}
            found = label_savings(curve, {5: observed(truth)}, higher_is_better=True)[0]
            hits += found.low <= truth <= found.high
        assert 0.88 <= hits / trials <= 0.99


class TestCurvesThatFall:
    def test_one_that_ends_worse_than_it_begins_tells_no_worth(self):
        curve = {3: constant(0.6), 6: constant(0.7), 14: constant(0.5)}
        with pytest.raises(DataError, match="scores worse with 14 labels than with 3"):
            label_savings(curve, {3: constant(0.65)}, higher_is_better=True)
        lower = {n: (-values, seeds) for n, (values, seeds) in curve.items()}
        with pytest.raises(DataError, match="scores worse with 14 labels than with 3"):
            label_savings(lower, {3: constant(-0.65)}, higher_is_better=False)

    def test_one_that_falls_on_the_way_is_flattened(self):
        curve = {2: constant(0.2), 4: constant(0.6), 8: constant(0.4), 16: constant(0.5), 32: constant(0.9)}
        (found,) = label_savings(curve, {2: constant(0.7)}, higher_is_better=True)
        assert found.falls == (4, 8)
        assert found.worth == pytest.approx(16 * 2**0.5)  # from 0.5, the mean of the three, to 0.9

    def test_one_that_rises_does_not_fall(self):
        (found,) = label_savings({2: constant(0.2), 4: constant(0.2), 8: constant(0.3)}, {2: constant(0.25)}, **HIGHER)
        assert found.falls is None

    def test_equal_scores_are_worth_their_own_count_to_the_last_digit(self):
        curve = {n: constant(0.1 * k) for k, n in enumerate((3, 6, 7, 14, 25), start=1)}
        found = label_savings(curve, curve, **HIGHER)
        assert [one.worth for one in found] == [3, 6, 7, 14, 25]
        assert all(one.may_be_nothing for one in found)


HIGHER = {"higher_is_better": True}


class TestInput:
    @pytest.mark.parametrize("counts", [(), (10,), (0, 10)])
    def test_one_point_is_no_curve(self, counts):
        with pytest.raises(DataError, match="two or more positive labeled counts"):
            label_savings({n: arm(0.5) for n in counts}, {5: arm(0.6)}, higher_is_better=True)

    def test_no_point_of_the_method_gives_none(self):
        assert label_savings({10: arm(0.5), 20: arm(0.6)}, {}, higher_is_better=True) == ()

    def test_all_problems_at_once(self):
        baseline = {10: (np.zeros((2, 4)), (1, 2)), 20: arm(0.6, seeds=(1, 2)), 40: (np.zeros((2, 4, 2)), (1,))}
        with pytest.raises(DataError) as error:
            label_savings(baseline, {1: arm(0.6, cases=np.zeros(3))}, higher_is_better=True)
        text = str(error.value)
        assert "baseline with 10 labels: values are (seeds, cases, classes), not of shape (2, 4)." in text
        assert "baseline with 40 labels: values of 2 seeds, but names of 1." in text
        assert "method with 1 label: cases and classes are not those of the other arms: 3 and 2, not 4 and 2." in text

    def test_fewer_than_two_cases_in_common(self):
        lacking = np.array([[[nan], [0.5], [0.6]]]), (1,)
        other = np.array([[[0.4], [nan], [0.6]]]), (1,)
        with pytest.raises(DataError, match="Fewer than 2 test cases have a value in all of: baseline with 10 labels"):
            label_savings({10: lacking, 20: other}, {5: lacking}, higher_is_better=True)

    def test_a_value_that_one_arm_lacks_is_left_out_in_all(self):
        low, high, method = (constant(value, cases=4) for value in (0.5, 0.7, 0.6))
        method[0][0, 3] = nan
        low[0][0, 3], high[0][0, 3] = -50, 50
        found = label_savings({10: low, 40: high}, {5: method}, higher_is_better=True)[0]
        assert [found.worth, found.low, found.high] == pytest.approx([20, 20, 20])

    def test_arms_with_the_same_seeds_share_them_in_any_order(self):
        values, seeds = arm(0.5, seeds=(1, 2, 3))
        _, samples = arm_means({"a": (values, seeds), "b": (values[::-1] + 0.1, (3, 2, 1))})
        assert samples[:, 1] - samples[:, 0] == pytest.approx(0.1)
        _, apart = arm_means({"a": (values, seeds), "b": (values + 0.1, (4, 5, 6))})
        assert (apart[:, 1] - apart[:, 0]).std() > 0.001

    def test_the_mean_is_over_classes_of_the_means_over_seeds_and_cases(self):
        values = np.array([[[1.0, 10.0], [3.0, nan], [2.0, 30.0]], [[2.0, 20.0], [4.0, 40.0], [3.0, 40.0]]])
        means, _ = arm_means({"a": (values, (1, 2))})
        # First class: 1.5, 3.5, 2.5; second: 15, left out, 35.
        assert means == pytest.approx([(2.5 + 25) / 2])


def test_the_counts_on_either_side_are_told():
    curve = {n: arm(0.1 * k) for n, k in ((4, 1), (8, 2), (16, 3), (32, 4))}
    points = {4: arm(0.1), 5: arm(0.15), 6: arm(0.2), 7: arm(0.25), 8: arm(0.4), 9: arm(0.5)}
    found = label_savings(curve, points, higher_is_better=True)
    assert [one.between for one in found] == [(4, 8), (4, 8), (4, 8), (8, 16), (16, 32), None]
