"""Available memory, and checks of a file's declared size against it before any is allocated."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semiseg.errors import DataError, Problem

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@contextmanager
def memory_for(where: str, size: int) -> Iterator[None]:
    """Enclose an allocation of ``size`` bytes. Raises DataError if the machine has less, or the allocation fails."""
    machine = machine_memory()
    if machine is not None and size > machine:
        raise _too_large(where, size)
    try:
        yield
    except MemoryError as error:
        raise _too_large(where, size) from error


def machine_memory() -> int | None:
    """Return the machine's memory in bytes, or the container's limit if lower; None if unknown."""
    try:
        sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, OSError, ValueError):  # Windows
        return None
    for path in map(Path, (*_own_groups(), *_LIMITS)):
        try:
            sizes.append(int(path.read_text()))
        except (OSError, ValueError):  # no such file, or no limit ("max")
            continue
    return min(sizes)


def _own_groups() -> list[str]:
    """Return limit files of this process's control groups (version 2), as set by batch systems."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    groups = [Path(line.removeprefix("0::/")) for line in lines if line.startswith("0::/")]
    return [f"/sys/fs/cgroup/{level}/memory.max" for group in groups for level in (group, *group.parents)]


def _too_large(where: str, size: int) -> DataError:
    what = f"it declares {size:,} bytes of voxels, which do not fit into memory"
    return DataError(Problem(where, what, "If the image is not that large, download or copy the file again."))
