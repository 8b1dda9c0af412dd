"""How much memory there is for this process."""

import os

import torch

from semiseg.io.memory import machine_memory

CPU_SHARE, GPU_SHARE = 0.8, 0.9
"""What training may fill: the machine runs other things too, and a GPU's memory is cut into pieces."""


def memory_room(kind: str, device: torch.device | None = None) -> int | None:
    """Bytes that training may fill on "cpu" or "cuda"; None where that cannot be known.

    On the CPU a share of the machine's memory or of the container's limit, whichever is less, whatever else runs: so
    it is alike from one start to the next. On a GPU a share of what other programs leave.
    """
    if kind == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(GPU_SHARE * (free + torch.cuda.memory_reserved(device)))
    whole = machine_memory()
    return None if whole is None else int(CPU_SHARE * whole) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def device_memory(kind: str) -> int | None:
    """Bytes that there are at all on "cpu" or "cuda", whatever else fills them; None where that cannot be known."""
    return torch.cuda.mem_get_info()[1] if kind == "cuda" else machine_memory()
