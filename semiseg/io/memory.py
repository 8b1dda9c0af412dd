"""What a file declares, held against the machine's memory before any of it is taken."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from semiseg.errors import DataError, Problem


@contextmanager
def memory_for(where: str, size: int) -> Iterator[None]:
    """A block that takes ``size`` bytes. Raises DataError where the machine has less, or gives less."""
    machine = _machine()
    if machine is not None and size > machine:
        raise _too_large(where, size)
    try:
        yield
    except MemoryError as error:
        raise _too_large(where, size) from error


def _machine() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return None


def _too_large(where: str, size: int) -> DataError:
    what = f"it declares {size:,} bytes of voxels, which do not fit into memory"
    return DataError(Problem(where, what, "If it is no such large image, download or copy the file again."))
