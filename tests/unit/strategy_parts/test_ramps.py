import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from semiseg.strategy_parts.ramps import ramp

NAMES = ["constant", "linear", "sigmoid", "step"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [0, 0.25, 0.75, 1]),
        ("sigmoid", [math.exp(-5), math.exp(-5 * 0.75**2), math.exp(-5 * 0.25**2), 1]),
        ("step", [0, 0, 0, 1]),
    ],
)
def test_values_are_the_published_formulas(name, values):
    assert [ramp(name, done, 0.4) for done in (0.0, 0.1, 0.3, 0.4)] == pytest.approx(values, abs=1e-12)
    assert [ramp(name, 0.5 + done, 0.4, start=0.5) for done in (0.0, 0.1, 0.3, 0.4)] == pytest.approx(values, abs=1e-12)


def test_ssl4mis_reaches_its_weight_only_at_the_end_of_training():
    """Its g(iteration // 150, 200) of 30000 iterations is the sigmoid over all of training."""
    for iteration in range(0, 30000, 150):
        published = math.exp(-5 * (1 - min(iteration // 150, 200) / 200) ** 2)
        assert ramp("sigmoid", iteration / 30000, 1.0) == pytest.approx(published, abs=1e-12)
    assert ramp("sigmoid", 15000 / 30000, 1.0) < 0.3


@given(
    name=st.sampled_from(NAMES),
    share=st.floats(0, 1),
    start=st.floats(0, 0.9),
    done=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_ramp_rises_from_nothing_to_one(name, share, start, done):
    early, late = sorted(done)
    assert 0 <= ramp(name, early, share, start) <= ramp(name, late, share, start) <= 1
    assert early >= start or ramp(name, early, share, start) == 0
    assert ramp(name, start + share + 1e-9, share, start) == 1


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no ramp 'cosine': choose constant"):
        ramp("cosine", 0.5, 0.4)
