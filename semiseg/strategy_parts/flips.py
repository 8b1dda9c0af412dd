"""Random flips of each sample: a geometric transform that is its own inverse, for outputs as for images."""

from collections.abc import Sequence

import torch
from torch import Tensor

from semiseg.interfaces.batch import Step


def draw_flips(slots: Sequence[int], step: Step, name: str) -> Tensor:
    """Draw for each sample whether X, Y and Z are flipped, each with probability 1/2: (n, 3) boolean, on the CPU."""
    drawn = [torch.rand(3, generator=step.generator(slot, name)) < 0.5 for slot in slots]
    return torch.stack(drawn) if drawn else torch.empty((0, 3), dtype=torch.bool)


def flip(volumes: Tensor, flips: Tensor) -> Tensor:
    """Flip volumes (n, ..., X, Y, Z) as drawn (n, 3); flipping twice restores them.

    Applied with the same draw to a network's output on flipped images, it returns the output in the original
    orientation.
    """
    if not len(volumes):
        return volumes
    axes = [[axis - 3 for axis in range(3) if row[axis]] for row in flips.tolist()]
    return torch.stack([volume.flip(where) for volume, where in zip(volumes, axes, strict=True)])
