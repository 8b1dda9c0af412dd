"""Loops compiled by numba, with a fallback if numba is missing."""

import importlib
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, TypeVar, cast

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop, *, fastmath: bool | set[str] = False) -> Loop:
    """Compile a loop with numba: at the first call, cached on disk, and without the GIL when it runs.

    ``fastmath`` is numba's option. Raises ImportError if numba is missing.
    """
    from numba import njit

    return cast(Loop, njit(cache=True, nogil=True, fastmath=fastmath)(loop))


@cache
def compiled_loops(module: str) -> ModuleType | None:
    """Return a module of compiled loops, or None if numba is missing or does not work with this Python or NumPy."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None
