"""Numbers that were whole before a file rounded them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 2**31 - 1
"""The largest value of a label file that every reader knows (int32)."""
_ROUNDINGS = 4
_MOST = 0.25
"""Whatever the rounding, a half is no whole number."""


def whole_numbers(array: NDArray[Any], slack: float = 0.0) -> NDArray[Any]:
    """The same numbers, but that a float within ``slack``, or a few roundings, of a whole number is that number.

    Tools that compute with floats write 0.99999994 for 1. The roundings are those of float32, also in a float64
    that was one before. Integers, and what is not finite, come back as they are.
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
