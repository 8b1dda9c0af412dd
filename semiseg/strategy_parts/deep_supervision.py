"""Deep supervision: the supervised loss is also that of logits from coarser levels of the decoder."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.roles import Role
from semiseg.interfaces.split import Outputs
from semiseg.strategy_parts.heads import MoreScales
from semiseg.strategy_parts.loss_options import LossOptions
from semiseg.types import Task


class DeepSupervisionOptions(LossOptions):
    """Base of the options of strategies that offer deep supervision."""

    newer: ClassVar[frozenset[str]] = frozenset({"deep_supervision"})

    deep_supervision: bool = False
    """Add the supervised loss of logits from coarser levels of the decoder, with weights 1, 1/2, 1/4 …, finest first,
    that sum to 1 (nnU-Net). The backbone must offer ``scales``. Only the finest logits predict."""


def deeply_supervised(role: Role, options: DeepSupervisionOptions) -> Role:
    """Return the role, with logits at coarser levels in training if the options ask for them."""
    if not options.deep_supervision:
        return role
    return replace(role, network=_with_scales, requires=role.requires | {"scales"})


def _with_scales(backbone: Backbone, task: Task) -> nn.Module:
    return MoreScales(backbone, task, for_supervision=True)


def scale_weights(count: int) -> tuple[float, ...]:
    """Return weights of ``count`` scales, finest first: each half of the one before; they sum to 1."""
    total = sum(0.5**index for index in range(count))
    return tuple(0.5**index / total for index in range(count))


def over_scales(finest: Tensor, scales: Sequence[Tensor], loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the weighted sum of the finest logits' loss, (n,), and the losses of the logits of coarser scales.

    nnU-Net (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z; DeepSupervisionWrapper in nnU-Net 2) has these
    weights and leaves out the coarsest scale, as ``MoreScales`` does here. There labels are downsampled to each
    scale by nearest neighbor. Here the logits were upsampled to the image by linear interpolation, so that small
    structures stay in the labels, at the cost of the memory of full-size logits for each scale.

    Args:
        finest: the finest logits' loss.
        scales: logits of the same samples, finest first; if there are none, ``finest`` is returned.
        loss: returns the losses (n,) of a scale's logits.
    """
    if not scales:
        return finest
    first, *weights = scale_weights(1 + len(scales))
    total = first * finest
    for weight, logits in zip(weights, scales, strict=True):
        total = total + weight * loss(logits)
    return total


def logits_and_scales(output: Tensor | Outputs) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return a network's finest logits, and those of coarser scales if there are any."""
    return (output.logits, output.scales) if isinstance(output, Outputs) else (output, ())
