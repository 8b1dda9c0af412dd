"""Strategies that label unlabeled samples with their own network, or with its moving average."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import BatchNeeds, Strategy, StreamNeeds
from semiseg.strategy_parts.confidence import PseudoLabels, pseudo_labels
from semiseg.strategy_parts.deep_supervision import DeepSupervisionOptions, deeply_supervised
from semiseg.strategy_parts.ema import (
    BufferPolicy,
    Decay,
    TeacherMode,
    decay_at,
    has_statistics,
    statistics_problem,
    teaching,
    update_teacher,
)
from semiseg.strategy_parts.loss_options import LossOptions
from semiseg.strategy_parts.mixing import Bounds, one_box_masks, paste, swapped
from semiseg.strategy_parts.ramps import RampName, has_begun, weight_at
from semiseg.strategy_parts.streams import supervised_loss

Share = Annotated[float, Field(ge=0, le=1)]
SHORT: Mapping[str, Any] = {
    "labels_from": "teacher",
    "teacher_mode": "eval",
    "buffers": "ema",
    "threshold": 0.0,
    "wait_share": 0.3,
    "ramp": "sigmoid",
    "ramp_share": 0.1,
    "pseudo_loss": "dice_ce",
}
"""For trainings of a thousand steps or two: a network that has learned from labels first, every voxel's label, and a
weight that is full soon. Few predictions are sure of 0.95 within such a training."""


class SelfLabelingOptions(LossOptions):
    """Options of strategies whose own network, or its moving average, labels unlabeled samples."""

    newer: ClassVar[frozenset[str]] = frozenset(
        {"wait_share", "labels", "labels_from", "decay", "teacher_mode", "buffers", "cutmix", "cutmix_side"}
    )

    weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the pseudo-label loss, after the ramp-up."""
    threshold: Share = 0.95
    """Minimum probability of a pseudo-label; 0 accepts all."""
    wait_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of training on labels alone, before the ramp-up begins."""
    ramp: RampName = "constant"
    """Shape of the weight's ramp-up; constant for none."""
    ramp_share: Share = 0.0
    """Length of the ramp-up, as a fraction of training."""
    pseudo_loss: Literal["cross_entropy", "dice", "dice_ce"] = "cross_entropy"
    """Loss against pseudo-labels, over the accepted voxels."""
    labels: Literal["hard", "soft"] = "hard"
    """Pseudo-labels as classes, or as the probabilities of all classes (with ``pseudo_loss: cross_entropy``)."""
    labels_from: Literal["model", "teacher"] = "model"
    """The network that labels: the model itself, or its moving average, which then also predicts."""
    decay: Decay = "auto"
    """Decay of the moving average, after its warm-up; auto: 1 - 60 / steps, from 0.85 to 0.99."""
    teacher_mode: TeacherMode = "train"
    """The moving average during training: with dropout and batch statistics (train), or as in prediction (eval)."""
    buffers: BufferPolicy = "own"
    """Running statistics of the moving average: its own, a copy of the model's, or averaged (ema)."""
    cutmix: Share = 0.0
    """Probability that a box of an unlabeled sample and of its label is that of the other one of a pair (CutMix); above
    0, unlabeled samples are drawn in pairs."""
    cutmix_side: Bounds = (0.25, 0.6)
    """Bounds of the sides of that box, as fractions of the patch's."""

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        wrong = []
        if self.wait_share + self.ramp_share > 1:
            wrong.append("wait_share and ramp_share together are more than 1: the weight is never reached")
        if self.labels_from == "teacher" and (text := statistics_problem(self.teacher_mode, self.buffers)):
            wrong.append(text)
        if self.labels == "soft" and self.pseudo_loss != "cross_entropy":
            wrong.append("soft labels need pseudo_loss: cross_entropy")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


OptionsT = TypeVar("OptionsT", bound=SelfLabelingOptions)


class SelfLabeling(Strategy[OptionsT]):
    """Base of these strategies: the networks, their labels, the mixing of samples, and the loss.

    A strategy calls ``label`` on the view that is labeled, ``mixed`` on the view that is trained on, and ``loss`` on
    the logits.
    """

    no_regions: ClassVar[str] = ""

    @classmethod
    def roles(cls, options: OptionsT) -> tuple[Role, ...]:
        """Return one network, called model, and with ``labels_from=teacher`` also its moving average."""
        if options.labels_from == "model":
            return (cls.built(Role("model"), options),)
        roles = Role("model", predicts=False), Role("teacher", trained=False, initialized_like="model")
        return tuple(cls.built(role, options) for role in roles)

    @classmethod
    def built(cls, role: Role, options: OptionsT) -> Role:
        """Return a role with the way its network is built: with deep supervision, if the options offer it."""
        return deeply_supervised(role, options) if isinstance(options, DeepSupervisionOptions) else role

    @classmethod
    def batch_needs(cls, options: OptionsT) -> BatchNeeds:
        """Return that unlabeled samples are drawn in pairs for CutMix."""
        return BatchNeeds(unlabeled=StreamNeeds(unit=2)) if options.cutmix else cls.needs

    def uses_unlabeled(self, step: Step) -> bool:
        """Return whether the weight of the pseudo-label loss has begun to rise."""
        return has_begun(self.options, step, self.options.wait_share)

    @torch.no_grad()
    def label(self, batch: Batch) -> PseudoLabels:
        """Return pseudo-labels of the unlabeled samples as they are."""
        o, images = self.options, batch.unlabeled.image
        teacher = o.labels_from == "teacher"
        if len(images):  # a network need not support an empty batch
            with teaching(self.networks[o.labels_from], o.teacher_mode if teacher else "train"):
                return self.labels_of(self.run(o.labels_from, images))
        own = teacher and o.buffers == "own" and has_statistics(self.networks["teacher"])
        if own and batch.unlabeled.count == 0:
            # Without unlabeled samples, the teacher's running statistics would keep their initial values.
            self.run("teacher", batch.labeled.image)
        return PseudoLabels(batch.labeled.label[:0])

    def labels_of(self, logits: Tensor) -> PseudoLabels:
        """Return the pseudo-labels of logits (n, K, \\*spatial), without gradient."""
        o = self.options
        return pseudo_labels(logits, o.threshold, self.coding, o.labels == "soft")

    def mixed(
        self, images: Tensor, labels: PseudoLabels, batch: Batch, step: Step, name: str = "fixmatch/cutmix"
    ) -> tuple[Tensor, PseudoLabels]:
        """Paste a box of each pair's other sample into views (n, C, \\*spatial) of the unlabeled samples and labels.

        ``name``: that of the draw; different names give different boxes.
        """
        o = self.options
        if not o.cutmix or not len(images):
            return images, labels
        shape, slots = tuple(images.shape[2:]), batch.unlabeled.slots
        masks = one_box_masks(shape, slots, step, name, o.cutmix_side, o.cutmix)
        return paste(swapped(images), images, masks), labels.map(lambda one: paste(swapped(one), one, masks))

    def loss(
        self,
        labeled: Tensor,
        unlabeled: Tensor,
        labels: PseudoLabels,
        batch: Batch,
        step: Step,
        scales: tuple[Tensor, ...] = (),
    ) -> Losses:
        """Return the supervised loss of logits plus the weighted loss against pseudo-labels."""
        o = self.options
        supervised = supervised_loss(labeled, batch, o.loss, self.coding, scales)
        pseudo = Term(labels.loss(unlabeled, o.pseudo_loss, self.coding), batch.unlabeled)
        terms = {"supervised": supervised, "pseudo": weight_at(o, step, o.wait_share) * pseudo}
        return Losses(terms, "model", log={"accepted": Term(labels.accepted_share(), batch.unlabeled)})

    def after_step(self, step: Step) -> None:
        """Update the moving average; its own running statistics, if it has them, are of the views that it labels."""
        if self.options.labels_from == "teacher":
            decay = decay_at(step, self.options.decay)
            update_teacher(self.networks["teacher"], self.networks["model"], decay, self.options.buffers)
