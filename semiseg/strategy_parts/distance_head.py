"""A head for the signed distance to each class, its target, and its error: for networks that also predict shapes."""

from torch import Tensor, nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.batch import LabeledStream
from semiseg.interfaces.losses import Term
from semiseg.interfaces.strategy import Target
from semiseg.strategy_parts.heads import MoreHeads
from semiseg.strategy_parts.signed_distance import signed_distances
from semiseg.types import Task

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
