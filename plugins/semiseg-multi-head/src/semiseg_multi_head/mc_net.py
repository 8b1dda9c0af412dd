"""MC-Net+: decoders with different upsampling have to agree."""

from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from semiseg.plugin import (
    Backbone,
    Batch,
    Losses,
    LossOptions,
    MoreDecoders,
    RampName,
    Role,
    Step,
    Strategy,
    Task,
    Term,
    mean_over_voxels,
    supervised_loss,
    weight_at,
)


def two_decoders(backbone: Backbone, task: Task) -> nn.Module:
    """Return one encoder with two decoders: transposed convolutions and (bi- or) trilinear upsampling (MC-Net)."""
    return MoreDecoders(backbone, task, ("transposed", "trilinear"))


def three_decoders(backbone: Backbone, task: Task) -> nn.Module:
    """Return one encoder with a third decoder: nearest-neighbor upsampling (MC-Net+)."""
    return MoreDecoders(backbone, task, ("transposed", "trilinear", "nearest"))


class MCNetOptions(LossOptions):
    """Options of MC-Net+."""

    newer: ClassVar[frozenset[str]] = LossOptions.newer | {"sharpening"}

    decoders: Literal[2, 3] = 3
    """Number of decoders: three (MC-Net+) or two (MC-Net)."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the consistency, after the ramp-up."""
    ramp: RampName = "sigmoid"
    """Shape of the weight's rise."""
    ramp_share: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Share of training over which the weight rises."""
    temperature: Annotated[float, Field(gt=0)] = 0.1
    """Temperature of the sharpening; 1 leaves predictions unchanged."""
    sharpening: Literal["classes", "each_class"] = "classes"
    """Of more than two classes: the powers p^(1/T) divided by their sum over classes, or each class by itself, p^(1/T)
    divided by p^(1/T) + (1 - p)^(1/T) (the public code; the results then do not sum to 1)."""
    stop_gradient: bool = False
    """Stop the gradient through the sharpened side; the public code does not."""


class MCNet(Strategy[MCNetOptions]):
    """Mutual consistency (MC-Net+): different decoders on one encoder, each near the others' sharpened predictions.

    Wu et al. 2022, "Mutual Consistency Learning for Semi-supervised Medical Image Segmentation" (arXiv:2109.09960),
    equations 1 to 5, three decoders; ``decoders=2`` is MC-Net (Wu et al. 2021, arXiv:2103.02911). As in the public code
    (ycwu1997/MC-Net, train_mcnet_3d.py): half the sum of the decoders' Dice losses, plus the sum over ordered pairs of
    the mean squared difference between one decoder's prediction and the other's sharpened one, on labeled and unlabeled
    samples, with temperature 0.1 and gradient through both sides. The weight rises to 1 along a sigmoid over the first
    40 % of training (6000 of 15000 iterations). Sharpening is p^(1/T) divided by its sum over all classes; for two
    classes this is the published binary form, p^(1/T) / (p^(1/T) + (1 - p)^(1/T)). The public code applies that form to
    each of four classes too (train_mcnet_2d.py): ``sharpening=each_class``. A class with p below one half is then
    pushed to 0 even where it is the most probable one. The first decoder predicts, as in that code. Two differences:
    Dice in the public code is that of the foreground over the batch (in a recipe, ``training.dice`` with ``background:
    false`` and ``batch: true``); and its trilinear interpolation aligns corners. On images of two axes the
    interpolation is bilinear. There the public code's 2D networks differ further: the bilinear decoder comes first and
    predicts, and a convolution of size 1 precedes the interpolation. Its loss there is twice that of
    ``weight=0.05, ramp_share=1``, with a Dice with squares over all classes.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"loss": "dice", "sharpening": "each_class"}}
    no_regions: ClassVar[str] = ""
    requires: ClassVar[frozenset[str]] = frozenset({"split", "upsampling"})

    @classmethod
    def roles(cls, options: MCNetOptions) -> tuple[Role, ...]:
        """Return one network with several decoders."""
        return (Role("model", network=three_decoders if options.decoders == 3 else two_decoders),)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised losses of all decoders plus their weighted mutual consistency."""
        o = self.options
        outputs = self.outputs("model", batch.images())
        decoders = (outputs.logits, *outputs.decoders)
        each = (0.5 * supervised_loss(batch.divide(logits)[0], batch, o.loss, self.coding) for logits in decoders)
        supervised = sum(each, Term())
        consistency = Term(self._consistency(decoders, batch), batch.labeled, batch.unlabeled)
        yield Losses({"supervised": supervised, "consistency": weight_at(o, step) * consistency}, "model")

    def _consistency(self, decoders: tuple[Tensor, ...], batch: Batch) -> Tensor:
        """Return for each sample the sum over ordered pairs, (n,)."""
        plain = [self.probabilities(logits) for logits in decoders]
        if self.options.sharpening == "classes":
            sharp = [self.coding.sharpened(logits, self.options.temperature) for logits in decoders]
        else:
            sharp = [each_sharpened(probabilities, self.options.temperature) for probabilities in plain]
        if self.options.stop_gradient:
            sharp = [probabilities.detach() for probabilities in sharp]
        streams = (batch.labeled, batch.unlabeled)
        squared = ((plain[i] - sharp[j]).square() for i, j in permutations(range(len(decoders)), 2))
        return torch.stack([mean_over_voxels(values, *streams) for values in squared]).sum(dim=0)


def each_sharpened(probabilities: Tensor, temperature: float) -> Tensor:
    """Return p^(1/T) / (p^(1/T) + (1 - p)^(1/T)) of each probability by itself, in any shape.

    It is finite at every temperature; probabilities within 1e-6 of 0 or 1 have no gradient.
    """
    return torch.sigmoid(torch.logit(probabilities, eps=1e-6) / temperature)
