"""MC-Net+: decoders that differ in how they go up have to agree."""

from collections.abc import Iterator
from itertools import permutations
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from semiseg.plugin import (
    Backbone,
    Batch,
    Losses,
    MoreDecoders,
    RampName,
    Role,
    Step,
    Strategy,
    StrategyOptions,
    Task,
    ramp,
    stream_mean,
    supervised_loss,
)


def two_decoders(backbone: Backbone, task: Task) -> nn.Module:
    """One encoder, and decoders with transposed convolutions and with trilinear interpolation (MC-Net)."""
    return MoreDecoders(backbone, task, ("transposed", "trilinear"))


def three_decoders(backbone: Backbone, task: Task) -> nn.Module:
    """A third decoder, with nearest-neighbor interpolation (MC-Net+)."""
    return MoreDecoders(backbone, task, ("transposed", "trilinear", "nearest"))


class MCNet(Strategy):
    """Mutual consistency (MC-Net+): one encoder and decoders that differ, each near the others' sharpened predictions.

    Wu et al. 2022, "Mutual Consistency Learning for Semi-supervised Medical Image Segmentation" (arXiv:2109.09960),
    equations 1 to 5, three decoders; ``decoders=2`` is MC-Net (Wu et al. 2021, arXiv:2103.02911). As in the public code
    (ycwu1997/MC-Net, train_mcnet_3d.py): half the sum of the decoders' Dice losses, plus the sum over ordered pairs of
    the mean squared difference between a prediction and another decoder's sharpened one, on labeled and unlabeled
    samples, temperature 0.1, with gradient through both sides; a weight of 1 that rises along a sigmoid over the first
    40 % of training (6000 of 15000 iterations). Sharpening is p^(1/T) over the sum of all classes' p^(1/T): of two
    classes it is the published binary form. The first decoder predicts, as there. Two things differ: Dice there is the
    foreground's alone, here the mean over all classes; and its trilinear interpolation aligns corners.
    """

    class Options(StrategyOptions):
        """Options of MC-Net+."""

        decoders: Literal[2, 3] = 3
        """Three decoders (MC-Net+), or two (MC-Net)."""
        weight: Annotated[float, Field(ge=0)] = 1.0
        """Weight of the consistency, after the ramp-up."""
        ramp: RampName = "sigmoid"
        """How the weight rises."""
        ramp_share: Annotated[float, Field(ge=0, le=1)] = 0.4
        """Share of training that the rise takes."""
        temperature: Annotated[float, Field(gt=0)] = 0.1
        """Temperature of the sharpening; 1 leaves predictions as they are."""
        stop_gradient: bool = False
        """Whether the sharpened side is taken as it is, without gradient; the public code lets it through."""
        loss: Literal["dice", "dice_ce"] = "dice"
        """Supervised loss of each decoder: dice (the papers), or the sum of Dice and cross entropy."""

    requires: ClassVar[frozenset[str]] = frozenset({"split", "upsampling"})
    exact: ClassVar[frozenset[str]] = frozenset({"micro_batch"})

    @classmethod
    def roles(cls, options: Any) -> tuple[Role, ...]:
        """One network with several decoders."""
        return (Role("model", network=three_decoders if options.decoders == 3 else two_decoders),)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """The supervised losses of all decoders, and their mutual consistency."""
        o = self.options
        outputs = self.outputs("model", batch.images())
        decoders = (outputs.logits, *outputs.decoders)
        each = [supervised_loss(batch.divide(logits)[0], batch, o.loss) for logits in decoders]
        supervised = 0.5 * torch.stack(each).sum()
        consistency = stream_mean(self._consistency(decoders), batch.labeled, batch.unlabeled)
        weight = o.weight * ramp(o.ramp, step.index / step.total, o.ramp_share)
        parts = {"supervised": supervised.detach(), "consistency": consistency.detach()}
        yield Losses(supervised + weight * consistency, frozenset({"model"}), parts)

    def _consistency(self, decoders: tuple[Tensor, ...]) -> Tensor:
        """For each sample the sum over ordered pairs, (n,)."""
        plain = [self.probabilities(logits) for logits in decoders]
        sharp = [sharpened(logits, self.options.temperature) for logits in decoders]
        if self.options.stop_gradient:
            sharp = [probabilities.detach() for probabilities in sharp]
        pairs = permutations(range(len(decoders)), 2)
        return torch.stack([(plain[i] - sharp[j]).square().flatten(1).mean(dim=1) for i, j in pairs]).sum(dim=0)


def sharpened(logits: Tensor, temperature: float) -> Tensor:
    """p^(1/T) / sum of all classes' p^(1/T), p being the softmax of logits (n, K, X, Y, Z): the softmax of logits / T.

    So it is finite at every temperature: at 0.01 the powers of three even probabilities are 0, and their share 0 / 0.
    """
    return torch.softmax(logits / temperature, dim=1)
