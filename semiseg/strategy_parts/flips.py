"""Random flips of each sample: a geometric transform that is its own inverse, for outputs as for images."""

from collections.abc import Sequence

import torch
from torch import Tensor

from semiseg.interfaces.batch import Step


def draw_flips(slots: Sequence[int], step: Step, name: str, spatial_dims: int = 3) -> Tensor:
    """Draw the axes to flip of each sample, each with probability 1/2: (n, spatial_dims) boolean, on the CPU.

    ``spatial_dims`` is the images' number of spatial axes, ``images.dim() - 2``.
    """
    drawn = [torch.rand(spatial_dims, generator=step.generator(slot, name)) < 0.5 for slot in slots]
    return torch.stack(drawn) if drawn else torch.empty((0, spatial_dims), dtype=torch.bool)


def flip(volumes: Tensor, flips: Tensor) -> Tensor:
    """Flip images, labels or outputs (n, ..., \\*spatial) as drawn (n, spatial_dims); flipping twice restores them.

    Applied with the same draw to a network's output on flipped images, it returns the output in the original
    orientation.
    """
    if not len(volumes):
        return volumes
    dims = flips.shape[1]
    axes = [[axis - dims for axis in range(dims) if row[axis]] for row in flips.tolist()]
    return torch.stack([volume.flip(where) for volume, where in zip(volumes, axes, strict=True)])
