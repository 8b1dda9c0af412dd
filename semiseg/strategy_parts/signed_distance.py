"""Normalized signed distances to the boundary of each class: regression targets, a head for them, and its error."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt
from torch import Tensor, nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import LabeledStream
from semiseg.interfaces.losses import Term
from semiseg.interfaces.strategy import Target
from semiseg.strategy_parts.heads import MoreHeads
from semiseg.types import Task


def signed_distances(labels: Tensor, n_classes: int) -> Tensor:
    """Return for each foreground class the signed distance to its boundary, in [-1, 1]: negative inside, 0 on it.

    Li et al. 2020, SASSNet (arXiv:2007.10732), equation 1, as implemented in its public code and DTC's: Euclidean
    distances in voxels, divided by the largest distance, separately outside and inside. The boundary consists of the
    voxels of the class with one of their six neighbors (in 2D, four) outside it; the edge of the volume does not count.
    For an absent class the map is 0, as in that code; for a class that fills the volume it is -1. IGNORE belongs to no
    class, so with ignored voxels the distances are to the boundary of what was labeled.

    Args:
        labels: (b, \\*spatial) integer class indices, or IGNORE; b may be 0.
        n_classes: number of classes, including background.

    Returns:
        (b, n_classes - 1, \\*spatial) float32, on the labels' device.
    """
    maps = np.zeros((len(labels), n_classes - 1, *labels.shape[1:]), np.float32)
    for sample, indices in zip(maps, labels.cpu().numpy(), strict=True):
        for index, out in enumerate(sample, 1):
            out[...] = _signed(indices == index)
    return torch.from_numpy(maps).to(labels.device)


def _signed(mask: NDArray[np.bool_]) -> NDArray[np.float64] | float:
    if not mask.any():
        return 0.0
    if mask.all():
        return -1.0
    inside, outside = distance_transform_edt(mask), distance_transform_edt(~mask)
    signed: NDArray[np.float64] = outside / outside.max() - inside / inside.max()
    signed[mask & ~binary_erosion(mask, border_value=1)] = 0
    return signed


SIGNED_DISTANCE = Target("signed_distance", signed_distances)
"""The target of the head; its name is also that of the head in ``Outputs.heads``."""


def with_distance_head(backbone: Backbone, task: Task) -> nn.Module:
    """Return the task's network with an additional head that has one channel per foreground class.

    Its output (n, K - 1, \\*spatial) has no activation; a distance in [-1, 1] is its ``tanh``. Capability: "split".
    """
    return MoreHeads(backbone, task, {SIGNED_DISTANCE.name: task.classes[1:]})


def distance_error(distances: Tensor, labeled: LabeledStream) -> Term:
    """Return the mean squared error of labeled samples' distances (b, K - 1, \\*spatial) against the target.

    Raises KeyError for samples without it: the strategy's ``needs`` must contain ``SIGNED_DISTANCE``.
    """
    error = distances - labeled.targets[SIGNED_DISTANCE.name]
    return Term(error.square().flatten(1).mean(dim=1), labeled)
