"""The share of the supervised gap that a method closes: by hand, at its ends, and where it has no meaning."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.errors import DataError
from semiseg.statistics.gap_closed import gap_closed

CASES = np.array([-0.2, 0.0, 0.05, 0.15])[:, None]


def arm(mean, seeds=(1, 2)):
    return mean + np.linspace(-0.02, 0.02, len(seeds))[:, None, None] + CASES, seeds


def closed(method, baseline, full, *, higher=True):
    return gap_closed(method, baseline, full, labeled=25, full_labeled=100, higher_is_better=higher)


def test_by_hand():
    found = closed(arm(0.65), arm(0.5), arm(0.8))
    assert (found.labeled, found.full_labeled, found.reason) == (25, 100, "")
    assert found.share == pytest.approx(0.5)
    assert found.interval == pytest.approx((0.5, 0.5))  # every sample moves the three alike
    assert found.gap == pytest.approx(0.3)
    assert found.gap_interval == pytest.approx((0.3, 0.3))


def test_of_a_distance_lower_is_better():
    found = closed(arm(6.0), arm(7.0), arm(3.0), higher=False)
    assert (found.share, found.gap) == (pytest.approx(0.25), pytest.approx(4.0))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_it_is_one_for_full_supervision_and_zero_for_the_baseline(seed, seeds):
    generator = np.random.default_rng(seed)
    names = tuple(range(seeds))
    low, full = ((mean + generator.normal(0, 0.05, (seeds, 8, 2)), names) for mean in (0.0, 1.0))
    one, none = closed(full, low, full), closed(low, low, full)
    assert (one.share, one.interval) == (1, (1, 1))
    assert (none.share, none.interval) == (0, (0, 0))


def test_the_interval_by_hand():
    # Two cases: the method closes 0.2 of one's gap and 0.6 of the other's, and a sample has one, both, or the other.
    base, full = (np.full((1, 2, 1), value) for value in (0.0, 1.0))
    found = closed((np.array([[[0.2], [0.6]]]), (1,)), (base, (1,)), (full, (1,)))
    assert (found.share, found.interval) == (pytest.approx(0.4), pytest.approx((0.2, 0.6)))


@pytest.mark.parametrize("full", [0.5, 0.4])
def test_no_gap_to_close(full):
    found = closed(arm(0.6), arm(0.5), arm(full))
    assert (found.share, found.interval) == (None, None)
    assert found.reason == "the baseline is no better with 100 labels than with 25"


def test_a_gap_that_may_be_nothing():
    # The gap is -0.1 in one case and 0.3 in the other; a quarter of the samples has the first alone.
    base, full = np.zeros((1, 2, 1)), np.array([[[-0.1], [0.3]]])
    found = closed((base + 0.1, (1,)), (base, (1,)), (full, (1,)))
    assert (found.share, found.interval, found.gap) == (None, None, pytest.approx(0.1))
    assert found.reason == "the gap itself, 0.1 (95 % interval -0.1 to 0.3), may be zero"


def test_a_gap_that_is_nothing_in_a_few_samples_has_a_share_and_no_interval():
    # Four cases: a sample has the last alone in 1 of 256 samples, and the 2.5 % quantile lies above zero.
    base, full = np.zeros((1, 4, 1)), np.array([[[1.0], [1.0], [1.0], [-0.2]]])
    found = closed((base + 0.35, (1,)), (base, (1,)), (full, (1,)))
    assert (found.share, found.interval) == (pytest.approx(0.5), None)
    assert found.gap_interval[0] > 0
    assert found.reason.startswith("in 0.")
    assert found.reason.endswith(" % of the bootstrap samples there is no gap to close")


def test_nan_values_are_left_out_in_all_three_and_arms_have_to_fit():
    method, base, full = arm(0.65), arm(0.5), arm(0.8)
    method[0][1, 3] = np.nan
    base[0][:, 3] = 99
    assert closed(method, base, full).share == pytest.approx(0.5)
    with pytest.raises(DataError, match="full: cases and classes are not those of the other arms"):
        closed(method, base, (full[0][:, :2], full[1]))
