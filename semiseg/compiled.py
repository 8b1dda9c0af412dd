"""Loops compiled by numba, and how to do without where it is missing."""

import importlib
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, TypeVar, cast

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop, *, fastmath: bool | set[str] = False) -> Loop:
    """Compiled at the first call, kept on disk for the next process, and run without the interpreter's lock.

    ``fastmath`` as numba takes it. Raises ImportError where numba is missing.
    """
    from numba import njit

    return cast(Loop, njit(cache=True, nogil=True, fastmath=fastmath)(loop))


@cache
def compiled_loops(module: str) -> ModuleType | None:
    """A module of compiled loops; None where numba is missing or does not work with this Python or NumPy."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None
