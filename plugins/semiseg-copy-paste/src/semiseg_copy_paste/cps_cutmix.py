"""CPS with CutMix: two networks that label for one another what two unlabeled samples mixed show."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor

from semiseg.plugin import (
    Batch,
    BatchNeeds,
    CoTraining,
    Losses,
    RampName,
    Role,
    Step,
    StrategyOptions,
    StreamNeeds,
    cutmix_masks,
    named_loss,
    paste,
    ramp,
    stream_mean,
    supervised_loss,
)

Share = Annotated[float, Field(ge=0, le=1)]


class CutMixCPS(CoTraining):
    """CPS with CutMix: two networks, each trained on mixed unlabeled samples against the other's argmax, mixed alike.

    Chen et al. 2021, "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision" (arXiv:2106.01226), in 3D;
    the mixing is that of French et al. 2020 (arXiv:1906.01916). Each network labels two unlabeled samples as they are,
    without gradient; in the boxes of a mask, samples and argmaxes are the second one's, elsewhere the first one's. A
    network's loss is the supervised one plus a weight times that of mixed samples against the other network's mixed
    argmax. The defaults are those of the public code (charlesCXK/TorchSemiSeg, voc8.res50v3+.CPS+CutMix): cross
    entropy, on unlabeled samples alone (plain CPS takes the labeled ones too), no threshold, no ramp-up, weight 1; for
    Cityscapes (city8.res50v3+.CPS+CutMix) it is ``weight=5``. The supervised loss there is cross entropy; here Dice
    takes part, as in the other strategies. Networks see labeled and mixed samples in one pass, there in two: it
    matters to batch normalization alone.
    """

    class Options(StrategyOptions):
        """Options of CPS with CutMix."""

        weight: Annotated[float, Field(ge=0)] = 1.0
        """Weight of the pseudo-label loss, after wait and ramp-up."""
        wait_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
        """Share of training before the networks train on each other's pseudo-labels."""
        ramp: RampName = "constant"
        """How the weight rises after the wait; constant is no ramp-up."""
        ramp_share: Share = 0.0
        """Share of training that the rise takes."""
        pseudo_loss: Literal["cross_entropy", "dice"] = "cross_entropy"
        """Loss against mixed pseudo-labels: cross_entropy (the paper) or dice."""
        boxes: PositiveInt = 3
        """Boxes of a mask; where they overlap, the mask turns over once more."""
        mixed_share: tuple[Share, Share] = (0.25, 0.5)
        """Bounds of the share of the volume that the boxes have together, before overlaps."""
        loss: Literal["dice", "dice_ce"] = "dice"
        """Supervised loss: dice, or the sum of Dice and cross entropy."""

        @field_validator("mixed_share")
        @classmethod
        def _in_order(cls, bounds: tuple[float, float]) -> tuple[float, float]:
            if bounds[0] > bounds[1]:
                raise ValueError("the first bound is above the second")
            return bounds

    needs: ClassVar[BatchNeeds] = BatchNeeds(unlabeled=StreamNeeds(unit=2))

    @classmethod
    def roles(cls, options: Any) -> tuple[Role, ...]:
        """Two students with different first weights; both predict."""
        return (Role("student_a"), Role("student_b"))

    def uses_pseudo_labels(self, step: Step) -> bool:
        """Whether the wait is over."""
        return step.index / step.total >= float(self.options.wait_share)

    def student_images(self, batch: Batch, step: Step) -> Tensor:
        """The labeled samples, then one mixed sample for each two unlabeled ones."""
        return torch.cat([batch.labeled.image, self._mixed(batch.unlabeled.image, batch, step)])

    def teacher_images(self, batch: Batch, student_images: Tensor, step: Step) -> Tensor:
        """The unlabeled samples as they are; where there are none, the students' own, for no network takes none."""
        return batch.unlabeled.image if len(batch.unlabeled) else student_images

    def pseudo_label(self, role: str, output: Tensor, batch: Batch) -> Tensor:
        """The class of the highest probability of the unlabeled samples, (b, X, Y, Z) uint8, not yet mixed."""
        return self.hard(output[: len(batch.unlabeled)])

    def loss(self, role: str, output: Tensor, pseudo_labels: Mapping[str, Any], batch: Batch, step: Step) -> Losses:
        """The loss of one network."""
        o = self.options
        labeled, mixed = output.tensor_split([len(batch.labeled)])
        supervised, pseudo = supervised_loss(labeled, batch, o.loss), output.new_zeros(())
        for pseudo_label in pseudo_labels.values():
            labels = self._mixed(pseudo_label, batch, step)
            # A mixed sample stands for two of the stream.
            pseudo = pseudo + 2 * stream_mean(named_loss(mixed, labels, o.pseudo_loss), batch.unlabeled)
        weight = o.weight * ramp(o.ramp, step.index / step.total, o.ramp_share, o.wait_share)
        parts = {"supervised": supervised.detach(), "pseudo": pseudo.detach()}
        return Losses(supervised + weight * pseudo, frozenset({role}), parts)

    def _mixed(self, values: Tensor, batch: Batch, step: Step) -> Tensor:
        """Images (b, C, X, Y, Z) or labels (b, X, Y, Z) of the unlabeled samples, mixed by twos: b / 2.

        The masks are drawn anew each time and are the same, being of the samples' slots.
        """
        o, slots = self.options, batch.unlabeled.slots[::2]
        masks = cutmix_masks(tuple(batch.unlabeled.image.shape[2:]), slots, step, "cps_cutmix", o.mixed_share, o.boxes)
        return paste(values[1::2], values[::2], masks)
