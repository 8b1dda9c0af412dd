"""Drawing of foreground voxels: which samples are centered on one, and on which.

A label map is not searched for each sample: counts of each class in each plane give the plane of the voxel that was
drawn by its number, and only that plane is read.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from semiseg.seeding import derive_seed
from semiseg.types import Shape, Task

Planes = NDArray[np.int32]
"""Number of voxels of each foreground class (from 1) in each plane across a label map's first axis: (classes, x)."""
Structure = tuple[int, ...]
"""The indices of the classes that make up a structure: a single class, or those of a region."""


def structures_of(task: Task) -> tuple[Structure, ...]:
    """Return the structures to draw among: the foreground classes, or the regions if networks output these."""
    if task.regions:
        return tuple(tuple(region) for region in task.regions.values())
    return tuple((index,) for index in range(1, len(task.classes)))


def count_planes(label: NDArray[np.uint8], n_classes: int) -> Planes:
    """Count the voxels of each foreground class in each plane of (x, y, z); IGNORED voxels are none."""
    counts = [np.bincount(plane.reshape(-1), minlength=n_classes)[1:n_classes] for plane in label]
    return np.stack(counts, axis=1).astype(np.int32)


def in_foreground(share: float, seed: int, step: int, slot: int) -> bool:
    """Return whether a slot's sample is centered on a foreground voxel.

    Each slot is with probability ``share``, and among n consecutive slots of a step there are always floor(share * n)
    or ceil(share * n) (systematic sampling, Madow and Madow 1944, with a start that is drawn for each step): a third of
    3 samples is one in every step, and of 2 samples one in two of three steps. nnU-Net takes the last
    n - round(n * (1 - share)) samples of a batch instead, which is one of 2 for its 0.33; that is a share of 0.5 here.
    """
    start = derive_seed(seed, "foreground", step) / 2**63
    return math.floor((slot + 1) * share + start) > math.floor(slot * share + start)


def draw_voxel(label: NDArray[np.uint8], planes: Planes, structures: Sequence[Structure]) -> Shape | None:
    """Draw a structure evenly among those present, and evenly one of its voxels, from torch's default generator.

    Args:
        label: (x, y, z), possibly memory-mapped; one plane is read.
        planes: its counts.
        structures: those to draw among.

    Returns:
        The voxel's indices; None if no structure is present.
    """
    counts = [planes[[index - 1 for index in structure]].sum(axis=0, dtype=np.int64) for structure in structures]
    present = [number for number, count in enumerate(counts) if count.any()]
    if not present:
        return None
    chosen = present[int(torch.randint(len(present), ()))]
    ends = counts[chosen].cumsum()
    number = int(torch.randint(int(ends[-1]), ()))
    x = int(np.searchsorted(ends, number, side="right"))
    plane = np.isin(label[x], structures[chosen])
    within = number - int(ends[x] - counts[chosen][x])
    y, z = np.unravel_index(np.flatnonzero(plane)[within], plane.shape)
    return x, int(y), int(z)
