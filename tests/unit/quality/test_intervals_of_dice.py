"""Expected Dice with intervals: by hand for tiny sets, and their coverage by simulation."""

import numpy as np
import pytest

from semiseg.quality.interval import FEWEST, PRIOR, Curve, Line


def test_the_slope_is_between_that_of_the_data_and_1():
    x, weights = np.array([0.2, 0.4, 0.6, 0.8]), np.ones(4)
    line = Line.through(x, 0.3 * x + 0.1, weights)
    assert line.slope == pytest.approx((4 * 0.3 + PRIOR * 1) / (4 + PRIOR))
    assert line(0.5) == pytest.approx(0.3 * 0.5 + 0.1)  # the mean of the points
    assert Line.through(np.full(4, 0.7), x, weights) == Line(1, pytest.approx(0.5 - 0.7))
    falling = Line.through(np.tile(x, 20), np.tile(1 - x, 20), np.ones(80))
    assert falling.slope == 0
    assert falling(0.1) == pytest.approx(0.5)


def test_an_interval_by_hand():
    """Without spread of the agreement, lines have slope 1, and everything is a mean of nine values."""
    dice = np.array([0.5, 0.52, 0.54, 0.56, 0.58, 0.6, 0.62, 0.64, 0.66, 0.9])
    curve = Curve([0.7] * 10, dice, [str(n) for n in range(10)])
    middles = (dice.sum() - dice) / 9
    residuals = np.abs(dice - middles)
    found = curve(0.75)
    assert found.dice == pytest.approx(dice.mean() + 0.05)
    assert found.high == pytest.approx((middles + residuals).max() + 0.05)  # the 10th of ceil(0.9 x 11) = 10
    assert found.low == pytest.approx((middles - residuals).min() + 0.05)  # the 1st
    assert curve.least == 0.7
    # With 20 patients, the ends are the 19th of 20 values: ceil(0.9 x 21) = 19.
    twice = Curve([0.7] * 20, np.tile(dice, 2), [str(n) for n in range(20)])
    middles = (2 * dice.sum() - dice) / 19
    residuals = np.abs(dice - middles)
    assert twice(0.7).high == pytest.approx(np.sort(np.repeat(middles + residuals, 2))[18])


def test_ends_are_within_0_and_1_and_the_expected_dice_within_the_ends():
    rng = np.random.default_rng(1)
    curve = Curve(rng.uniform(0.2, 0.9, 12), rng.uniform(0, 1, 12), [str(n) for n in range(12)])
    for agreement in np.linspace(0, 1, 11):
        found = curve(agreement)
        assert 0 <= found.low <= found.dice <= found.high <= 1


def test_cases_of_one_patient_count_as_one():
    rng = np.random.default_rng(2)
    x = rng.uniform(0.5, 0.9, FEWEST)
    y = x + rng.normal(0, 0.05, FEWEST)
    patients = [f"p{n}" for n in range(FEWEST)]
    single = Curve(x, y, patients)
    repeated = Curve(np.append(x, [x[0]] * 50), np.append(y, [y[0]] * 50), [*patients, *["p0"] * 50])
    for agreement in (0.5, 0.7, 0.9):
        one, other = single(agreement), repeated(agreement)
        assert (one.dice, one.low, one.high) == pytest.approx((other.dice, other.low, other.high))
    with pytest.raises(ValueError, match="9 patients"):
        Curve(np.append(x[:9], x[:9]), np.append(y[:9], y[:9]), [*patients[:9], *patients[:9]])


@pytest.mark.parametrize("n", [10, 25])
@pytest.mark.parametrize("several", [False, True])
def test_coverage_of_exchangeable_patients(n, several):
    """At least 80 % is guaranteed and about 90 % is found, also for skewed errors and several cases a patient."""
    rng = np.random.default_rng(n + several)
    hits = []
    for _ in range(250):
        counts = rng.integers(1, 5, n + 1) if several else np.ones(n + 1, int)
        patient = np.repeat(np.arange(n + 1), counts)
        x = np.repeat(rng.beta(8, 2, n + 1), counts) - 0.02 * rng.uniform(size=len(patient))
        shift = np.repeat(rng.exponential(0.06, n + 1), counts)
        y = (0.1 + 0.8 * x - shift + 0.01 * rng.normal(size=len(patient))).clip(0, 1)
        known = patient < n
        found = Curve(x[known], y[known], patient[known].astype(str))(x[~known][0])
        hits.append(found.low <= y[~known][0] <= found.high)
    assert 0.86 < np.mean(hits) < 0.98
