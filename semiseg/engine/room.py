"""How much memory there is for this process."""

import os
from pathlib import Path

import torch

CPU_SHARE, GPU_SHARE = 0.8, 0.9
"""What training may fill: the machine runs other things too, and a GPU's memory is cut into pieces."""

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_room(kind: str, device: torch.device | None = None) -> int | None:
    """Bytes that training may fill on "cpu" or "cuda"; None where that cannot be known.

    On the CPU a share of the machine's memory or of the container's limit, whichever is less, whatever else runs: so
    it is alike from one start to the next. On a GPU a share of what other programs leave.
    """
    if kind == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(GPU_SHARE * (free + torch.cuda.memory_reserved(device)))
    whole = _machine()
    return None if whole is None else int(CPU_SHARE * whole) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def device_memory(kind: str) -> int | None:
    """Bytes that there are at all on "cpu" or "cuda", whatever else fills them; None where that cannot be known."""
    return torch.cuda.mem_get_info()[1] if kind == "cuda" else _machine()


def _machine() -> int | None:
    try:
        sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, OSError, ValueError):  # Windows
        return None
    for path in map(Path, (*_own_groups(), *_LIMITS)):
        try:
            sizes.append(int(path.read_text()))
        except (OSError, ValueError):  # there is no such file, or no limit ("max")
            continue
    return min(sizes)


def _own_groups() -> list[str]:
    """Limit files of this process's control groups (version 2), as a batch system sets them."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    groups = [Path(line.removeprefix("0::/")) for line in lines if line.startswith("0::/")]
    return [f"/sys/fs/cgroup/{level}/memory.max" for group in groups for level in (group, *group.parents)]
