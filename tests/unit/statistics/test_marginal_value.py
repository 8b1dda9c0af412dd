"""What the next labels add along a curve: by hand, in closed form, without a bias."""

import numpy as np
import pytest

from semiseg.errors import DataError
from semiseg.statistics import bootstrap
from semiseg.statistics.marginal_value import marginal_values

CASES = np.array([-0.2, 0.0, 0.05, 0.15])[:, None]


def arm(mean, seeds=(1, 2)):
    return mean + np.linspace(-0.02, 0.02, len(seeds))[:, None, None] + CASES, seeds


def test_by_hand():
    found = marginal_values({10: arm(0.5), 20: arm(0.6), 45: arm(0.7)})
    assert [f.labeled for f in found] == [10, 20, 45]
    assert found[0].change == pytest.approx(0.1)  # 20 is a point of the curve
    assert found[1].change == pytest.approx(0.1 * np.log(30 / 20) / np.log(45 / 20))
    assert found[1].interval == pytest.approx((found[1].change, found[1].change))
    assert (found[2].change, found[2].interval) == (None, None)
    assert found[2].reason == "the curve ends at 45 labels, before 55, and is not extrapolated"


@pytest.mark.parametrize("extra", [1, 7, 10, 30])
def test_on_a_curve_that_is_linear_in_the_logarithm_it_is_the_logarithm(extra):
    curve = {n: arm(0.2 + 0.1 * np.log(n)) for n in (4, 12, 25, 50, 100)}
    for found in marginal_values(curve, extra):
        if found.labeled + extra <= 100:
            assert found.change == pytest.approx(0.1 * np.log((found.labeled + extra) / found.labeled))
        else:
            assert found.change is None


def test_a_step_over_several_counts_lands_on_the_curve():
    assert marginal_values({10: arm(0.5), 12: arm(0.9), 20: arm(0.6)})[0].change == pytest.approx(0.1)


def test_labels_that_do_harm_are_said_to():
    assert marginal_values({10: arm(0.5), 20: arm(0.4)})[0].change == pytest.approx(-0.1)


def test_where_labels_do_nothing_the_change_is_about_zero_and_the_interval_has_zero(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 400)
    changes, hits, trials = [], 0, 150
    for trial in range(trials):
        generator = np.random.default_rng(trial)
        cases = generator.normal(0, 1, (1, 30, 1))
        curve = {n: (cases + generator.normal(0, 1, (3, 30, 1)), (1, 2, 3)) for n in (10, 20, 40)}
        found = marginal_values(curve)[1]
        changes.append(found.change)
        hits += found.interval[0] <= 0 <= found.interval[1]
    assert abs(np.mean(changes)) < 3 * np.std(changes) / np.sqrt(trials)
    assert hits / trials >= 0.88


def test_the_interval_by_hand_with_one_seed():
    # Labels add 0.1 in one case and 0.3 in the other: a sample has one, both, or the other.
    curve = {10: (np.zeros((1, 2, 1)), (1,)), 20: (np.array([[[0.1], [0.3]]]), (1,))}
    found = marginal_values(curve)[0]
    assert (found.change, found.interval) == (pytest.approx(0.2), pytest.approx((0.1, 0.3)))


def test_input_that_cannot_be_used():
    with pytest.raises(DataError, match="two or more positive labeled counts"):
        marginal_values({10: arm(0.5)})
    with pytest.raises(DataError, match="1 or more, not 0"):
        marginal_values({10: arm(0.5), 20: arm(0.6)}, extra=0)
