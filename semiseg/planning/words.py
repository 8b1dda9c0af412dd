"""Values of a plan in words."""

from collections.abc import Sequence
from typing import Any

from semiseg.types import Shape


def a_range(values: Sequence[float]) -> str:
    """Return the smallest and the largest value, or the only one."""
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"


def by(sizes: Sequence[float]) -> str:
    """Return sizes as ``40 x 56 x 40``."""
    return " x ".join(f"{size:.4g}" for size in sizes)


def extents(patch: Shape, spacing: Sequence[float]) -> list[float]:
    """Return the sides of a patch in mm, rounded."""
    return [round(n * size) for n, size in zip(patch, spacing, strict=True)]


def in_words(value: Any) -> str:
    """Return a planned value as plain text."""
    if isinstance(value, list):
        return by(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_inner(part)}" for key, part in value.items()) or "none"
    return str(value)


def _inner(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['low']:g} to {value['high']:g}, mean {value['mean']:g}, deviation {value['deviation']:g}"
    return str(value)
