"""Holm's correction of several tests."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given: below a level, at most one false finding in all, at that level.

    The i-th smallest of m counts (m - i + 1) times itself, at least as much as the one before it, and at most 1. No
    assumption about how the tests depend on each other.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6,
    1979.
    """
    adjusted, reached = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        reached = max(reached, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = reached
    return adjusted
