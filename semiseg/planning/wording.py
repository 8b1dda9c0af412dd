"""Planned values in words."""

from collections.abc import Sequence
from typing import Any

from semiseg.types import Shape


def value_range(values: Sequence[float]) -> str:
    """Return smallest and largest value, or the only one, in words."""
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"


def by(sizes: Sequence[float]) -> str:
    """Return sizes along the axes, in words."""
    return " x ".join(f"{size:.4g}" for size in sizes)


def extents(patch: Shape, spacing: Sequence[float]) -> list[float]:
    """Return a patch's sides in whole mm."""
    return [round(n * size) for n, size in zip(patch, spacing, strict=True)]


def text(value: Any) -> str:
    """Return a value of a plan, in words."""
    if isinstance(value, list):
        return by(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_inner(part)}" for key, part in value.items()) or "none"
    return str(value)


def _inner(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['low']:g} to {value['high']:g}, mean {value['mean']:g}, deviation {value['deviation']:g}"
    return str(value)
