"""Waits, ramp-ups and teachers of every installed strategy's defaults, as shares of trainings of any length."""

from itertools import pairwise

import pytest

from semiseg.interfaces.batch import Step
from semiseg.registry import installed, load
from semiseg.strategy_parts.durations import ramp_share, teacher_decay, wait_share
from semiseg.strategy_parts.ema import decay_at, settled_decay
from semiseg.strategy_parts.ramps import weight_at

TOTALS = (60, 400, 1500, 6000, 30_000, 250_000)
NAMES = [entry.name for entry in installed("strategy")]


def defaults(name):
    return load("strategy", name).Options()


@pytest.mark.parametrize("total", TOTALS)
def test_a_teacher_lags_by_a_small_share_of_the_training(total):
    """The mean age of the weights in an average is 1 / (1 - decay) updates."""
    assert 1 / (1 - teacher_decay(total)) / total <= 0.12
    assert 0 < wait_share(total) <= 0.4
    assert 0.4 <= ramp_share(total) <= 1
    for name in NAMES:
        options = defaults(name)
        if hasattr(options, "decay"):
            step = Step(total - 1, total, total, "", 0, total, 0)
            assert 1 / (1 - settled_decay(step, options.decay)) / total <= 0.12, name
            assert decay_at(step, options.decay) <= settled_decay(step, options.decay), name


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(defaults(name), "ramp_share")])
def test_in_a_short_training_the_unlabeled_loss_has_its_full_weight_for_half_of_it(name):
    options = defaults(name)
    for total in (60, 400, 1500):
        step = Step(total // 2, total, total, "", 0, total, 0)
        assert weight_at(options, step) == pytest.approx(options.weight), name


def test_shares_fall_or_rise_with_the_length_and_never_jump():
    for rule in (wait_share, ramp_share, teacher_decay):
        values = [rule(total) for total in range(20, 40_000, 20)]
        assert max(abs(b - a) for a, b in pairwise(values)) < 0.12
        assert values in (sorted(values), sorted(values, reverse=True))
