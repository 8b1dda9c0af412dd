"""URPC: the scales of one network have to agree where they are certain."""

from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from semiseg.plugin import (
    CLASSES,
    Backbone,
    Batch,
    Coding,
    Losses,
    LossOptions,
    MoreScales,
    RampName,
    RampShare,
    Role,
    Step,
    Strategy,
    Task,
    Term,
    supervised_loss,
    weight_at,
)


def _with_scales(backbone: Backbone, task: Task, dropout: float) -> nn.Module:
    return MoreScales(backbone, task, dropout)


@lru_cache
def with_scales(dropout: float) -> "partial[nn.Module]":
    """Return the builder of a network with logits at each coarser level; the same object for the same dropout."""
    return partial(_with_scales, dropout=dropout)


class URPCOptions(LossOptions):
    """Options of URPC."""

    weight: Annotated[float, Field(ge=0)] = 0.2
    """Weight of the consistency, after the ramp-up."""
    ramp: RampName = "sigmoid"
    """Shape of the weight's rise."""
    ramp_share: RampShare = "auto"
    """Length of the ramp-up, as a fraction of training; auto: steps / 30 000, from 0.4 to 1 (the public
    code: 1)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout of whole channels before the logits of the coarser levels."""


class URPC(Strategy[URPCOptions]):
    """Uncertainty rectified pyramid consistency (URPC): predictions of all scales against their mean.

    Luo et al. 2021, "Efficient Semi-Supervised Gross Target Volume of Nasopharyngeal Carcinoma Segmentation via
    Uncertainty Rectified Pyramid Consistency" (arXiv:2012.07042), equations 1 to 5. Each decoder level that is coarser
    than the image also yields logits, resampled to the image's size (three as published, for V-Net, UNETR and a UNet
    with four levels; four for the default UNet, which has five). All scales are supervised. On unlabeled samples, each
    scale's squared distance from the mean prediction is weighted voxelwise by exp(-KL(mean || scale)), and that
    divergence is added. The defaults are those of SSL4MIS, train_uncertainty_rectified_pyramid_consistency_3D.py:
    a sigmoid ramp-up, there over the whole training. Its weight of 0.1 stands beside half the sum of Dice and cross
    entropy, so that 0.2 here gives twice its loss; its network drops channels between the levels, which
    here is the backbone's own dropout. As published, the weights are normalized over all unlabeled samples of a step,
    so the loss cannot be computed in parts. The scale with the image's resolution predicts.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"ramp_share": 1.0}}
    no_regions: ClassVar[str] = ""
    requires: ClassVar[frozenset[str]] = frozenset({"scales"})
    whole_batch: ClassVar[bool] = True

    @classmethod
    def roles(cls, options: URPCOptions) -> tuple[Role, ...]:
        """Return one network with logits at several scales."""
        return (Role("model", network=with_scales(options.dropout)),)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the mean of the scales' supervised losses plus the weighted consistency of the unlabeled samples."""
        o = self.options
        outputs = self.outputs("model", batch.images())
        scales = [batch.divide(logits) for logits in (outputs.logits, *outputs.scales)]
        each = (supervised_loss(labeled, batch, o.loss, self.coding) for labeled, _ in scales)
        supervised = sum((term / len(scales) for term in each), Term())
        consistency = Term.of_whole_batch(pyramid_consistency([unlabeled for _, unlabeled in scales], self.coding))
        yield Losses({"supervised": supervised, "consistency": weight_at(o, step) * consistency}, "model")


def pyramid_consistency(scales: list[Tensor], coding: Coding = CLASSES) -> Tensor:
    """Return equation 4 as in the public code, a scalar; 0 if there is no sample.

    For each scale i, with m the mean of all scales' probabilities and D_i = KL(m || p_i) at a voxel:
    mean((m - p_i)^2 exp(-D_i)) / (mean(exp(-D_i)) + 1e-8) + mean(D_i); then the mean over scales.

    Args:
        scales: logits (n, K, \\*spatial), one tensor per scale.
        coding: what they mean; for regions, the divergence is the sum over these.
    """
    if not len(scales[0]):
        return scales[0].new_zeros(())
    logs = [coding.log_probabilities(logits) for logits in scales]
    mean = torch.stack([log.exp() for log in logs]).mean(dim=0)
    terms = []
    for log in logs:
        divergence = (mean * (mean.clamp_min(1e-30).log() - log)).sum(dim=(1, 2), keepdim=True)
        sure = torch.exp(-divergence)
        distance = (mean - log.exp()).square()
        terms.append((distance * sure).mean() / (sure.mean() + 1e-8) + divergence.mean())
    return torch.stack(terms).mean()
