"""Rounding of numbers that were whole before a file stored them imprecisely."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 2**31 - 1
"""The largest label value that every reader supports (int32)."""
_ROUNDINGS = 4
_MOST = 0.25
"""Maximum tolerance, whatever the rounding: a half is not a whole number."""


def whole_numbers(array: NDArray[Any], slack: float = 0.0) -> NDArray[Any]:
    """Round floats within ``slack``, or a few roundings, of a whole number.

    Tools that compute with floats write 0.99999994 for 1. The roundings are those of float32, also for float64, which
    may have been float32 before. Integers and non-finite values are returned unchanged.
    """
    if array.dtype.kind != "f":
        return array
    rounding = _ROUNDINGS * max(float(np.finfo(array.dtype).eps), float(np.finfo(np.float32).eps))
    whole = np.rint(array)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        off = np.abs(array - whole)
    near = off <= np.minimum(slack + rounding * np.maximum(np.abs(whole), 1), _MOST)
    result: NDArray[Any] = np.where(near, whole, array)
    return result
