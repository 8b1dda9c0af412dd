import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semiseg.augmentation.intensity import Curve, apply_curve, piecewise_linear
from semiseg.augmentation.luque2023 import draw_heights


def channel(*values):
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)


def test_gamma_acts_on_the_channel_rescaled_to_0_to_1_and_back():
    # Foreground 2, 4, 6 is 0, 1/2, 1 of its range; squared 0, 1/4, 1; back 2, 3, 6. Background stays 0.
    changed = apply_curve(channel(0, 2, 4, 6), Curve(gamma=2.0), keep_zero=True)
    assert changed.flatten().tolist() == [0, 2, 3, 6]


def test_gamma_of_negative_values_is_a_true_gamma():
    # -1, 0.5, 2: the middle is half of the range, 0.25 when squared: -1 + 0.25 * 3.
    changed = apply_curve(channel(-1, 0.5, 2), Curve(gamma=2.0), keep_zero=True)
    assert changed.flatten().tolist() == [-1, -0.25, 2]


def test_without_keeping_zero_the_background_takes_part():
    changed = apply_curve(channel(0, 1, 2), Curve(gamma=2.0, shift=0.0, factor=2.0), keep_zero=False)
    assert changed.flatten().tolist() == [0, 1, 4]


def test_histogram_shift_moves_control_points_and_is_linear_between():
    heights = torch.tensor([0, 0.2, 1.0])
    unit = torch.tensor([0, 0.25, 0.5, 0.75, 1.0])
    assert piecewise_linear(unit, heights).tolist() == pytest.approx([0, 0.1, 0.2, 0.6, 1.0])


def test_shift_is_in_standard_deviations_of_the_foreground_and_comes_before_scaling():
    # Foreground 1, 3 has deviation 1: shifted by 0.5 it is 1.5, 3.5; doubled 3, 7.
    changed = apply_curve(channel(0, 1, 3, 0), Curve(shift=0.5, factor=2.0), keep_zero=True)
    assert changed.flatten().tolist() == [0, 3, 7, 0]


@pytest.mark.parametrize("keep_zero", [True, False])
def test_empty_and_constant_channels_stay_finite(keep_zero):
    curve = Curve(gamma=1.3, heights=draw_heights(5, 1.0), shift=0.3, factor=1.1)
    assert apply_curve(channel(0, 0, 0), curve, keep_zero).tolist() == channel(0, 0, 0).tolist()
    assert apply_curve(channel(2, 2, 2), curve, keep_zero).flatten().tolist() == pytest.approx([2.2] * 3)


@given(st.integers(0, 2**32), st.integers(3, 12), st.floats(0, 1), st.floats(0.5, 2))
def test_order_is_kept_and_the_range_too(seed, n_points, amount, gamma):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        heights = draw_heights(n_points, amount)
    assert heights[0] == 0
    assert heights[-1] == 1
    assert (heights.diff() >= 0).all()
    values = torch.linspace(-3, 5, 201).reshape(-1, 1, 1)
    changed = apply_curve(values, Curve(gamma=gamma, heights=heights), keep_zero=False).flatten()
    assert (changed.diff() >= -1e-5).all()
    assert changed[[0, -1]].tolist() == pytest.approx([-3, 5], abs=1e-4)


def test_blocks_change_nothing():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn((19, 7, 5), generator=generator)
    curve = Curve(gamma=1.3, heights=torch.tensor([0, 0.1, 0.9, 1.0]), shift=0.2, factor=0.9)
    whole = apply_curve(values, curve, keep_zero=False)
    in_one = apply_curve(values.reshape(1, -1, 5), curve, keep_zero=False).reshape(values.shape)
    torch.testing.assert_close(whole, in_one)
    torch.testing.assert_close(whole.flatten(), apply_curve(values.flatten(1), curve, keep_zero=False).flatten())
