"""Curves as tables against the same curves worked out for each voxel."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semiseg.augmentation.fused_kernels import change_intensities
from semiseg.augmentation.fused_numba import fast_table
from semiseg.augmentation.intensity import Curve, apply_curve
from semiseg.augmentation.intensity_lookup import apply_table, curve_table
from semiseg.augmentation.luque2023 import draw_heights


def in_numba(channel, curve, keep_zero):
    changed = channel.clone()
    table = curve_table(curve).numpy() if curve.bends else torch.empty(0).numpy()
    change_intensities(changed.numpy().reshape(-1), table, curve.shift, curve.factor, keep_zero)
    return changed


each_way = pytest.mark.parametrize("apply", [apply_table, in_numba])


def channel(*values):
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)


@each_way
def test_all_four_operations_by_hand(apply):
    # Foreground 2, 4, 6 is 0, 1/2, 1 of its range. Squared: 0, 1/4, 1; the histogram shift takes 1/4 to 0.1 and so
    # back to 2, 2.4, 6. Its deviation was (8/3)^0.5; half of that is added, and all is doubled.
    curve = Curve(gamma=2.0, heights=torch.tensor([0, 0.2, 1.0]), shift=0.5, factor=2.0)
    added = 0.5 * (8 / 3) ** 0.5
    changed = apply(channel(0, 2, 4, 6), curve, True)
    assert changed.flatten().tolist() == pytest.approx([0, 2 * (2 + added), 2 * (2.4 + added), 2 * (6 + added)])


@each_way
@pytest.mark.parametrize("keep_zero", [True, False])
@pytest.mark.parametrize("values", [(0, 0, 0), (2, 2, 2), (-1, 0, 0), (0, 3, 5)])
def test_empty_constant_and_small_channels(apply, keep_zero, values):
    curve = Curve(gamma=1.3, heights=draw_heights(5, 1.0), shift=0.3, factor=1.1)
    expected = apply_curve(channel(*values), curve, keep_zero)
    torch.testing.assert_close(apply(channel(*values), curve, keep_zero), expected, rtol=1e-3, atol=1e-5)


@each_way
def test_a_curve_that_does_nothing_changes_no_bit(apply):
    values = torch.randn((9, 8, 7), generator=torch.Generator().manual_seed(0))
    assert torch.equal(apply(values, Curve(), True), values)


@each_way
@given(
    seed=st.integers(0, 2**32),
    gamma=st.floats(0.7, 1.5),
    n_points=st.none() | st.integers(3, 12),
    amount=st.floats(0, 1),
    shift=st.floats(-0.5, 0.5),
    factor=st.floats(0.8, 1.2),
    keep_zero=st.booleans(),
)
def test_within_the_stated_tolerance_of_the_exact_curve(apply, seed, gamma, n_points, amount, shift, factor, keep_zero):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        values = torch.randn((6, 5, 40))
        heights = draw_heights(n_points, amount) if n_points else None
    values[:, :2] = 0
    values[0, 0] = values.min() + torch.logspace(-6, 0, 40)  # where exponents below 1 are steepest
    curve = Curve(gamma, heights, shift, factor)
    changed, expected = apply(values, curve, keep_zero), apply_curve(values, curve, keep_zero)
    extent = (values.max() - values.min()) * factor
    steepest = 1.0 if heights is None else max(1.0, float(heights.diff().max()) * (n_points - 1))
    error = (changed - expected).abs() / extent / steepest
    assert error.max() < 1.6e-4
    assert error[values > values.min() + (values.max() - values.min()) / 100].max() < 4e-5
    if keep_zero:
        assert torch.equal(changed == 0, values == 0)


@given(st.integers(0, 2**32), st.floats(0.3, 3), st.none() | st.integers(3, 12))
@settings(deadline=None)  # the first example may compile
def test_a_fast_table_is_the_table_in_single_precision(seed, gamma, n_points):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        heights = draw_heights(n_points, 1.0) if n_points else None
    curve = Curve(gamma, heights)
    expected, fast = curve_table(curve), torch.from_numpy(fast_table(curve))
    steepest = 1.0 if heights is None else max(1.0, float(heights.diff().max()) * (n_points - 1))
    assert (fast - expected).abs().max() < 4e-7 * steepest
    assert fast[0] == 0


@given(st.integers(0, 2**32), st.floats(0.3, 3))
def test_tables_rise_from_0_to_1(seed, gamma):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        table = curve_table(Curve(gamma, draw_heights(10, 1.0)))
    assert table[0] == 0
    assert float(table[-1]) == pytest.approx(1)
    assert (table.diff() >= -1e-6).all()
