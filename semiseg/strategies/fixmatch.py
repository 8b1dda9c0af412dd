"""FixMatch: confident predictions on a weak view are the labels of a strong view."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import BatchNeeds, Strategy, StreamNeeds
from semiseg.strategy_parts.confidence import accepted_share, confident_labels, masked_loss
from semiseg.strategy_parts.deep_supervision import DeepSupervisionOptions, deeply_supervised
from semiseg.strategy_parts.ema import (
    BufferPolicy,
    Decay,
    TeacherMode,
    decay_at,
    has_statistics,
    teaching,
    update_teacher,
)
from semiseg.strategy_parts.mixing import one_box_masks, paste, swapped
from semiseg.strategy_parts.ramps import RampName, has_begun, weight_at
from semiseg.strategy_parts.streams import supervised_loss
from semiseg.strategy_parts.views import WeakView, WeakViewOptions, strong_view

Share = Annotated[float, Field(ge=0, le=1)]


class FixMatchOptions(WeakViewOptions, DeepSupervisionOptions):
    """Options of FixMatch."""

    newer: ClassVar[frozenset[str]] = DeepSupervisionOptions.newer | {
        "wait_share",
        "teacher_mode",
        "buffers",
        "cutmix",
        "cutmix_side",
    }

    weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the pseudo-label loss, after the ramp-up."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Minimum probability of a pseudo-label; 0 accepts all."""
    wait_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of training on labels alone, before the ramp-up begins."""
    ramp: RampName = "constant"
    """Shape of the weight's ramp-up; constant for none."""
    ramp_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Length of the ramp-up, as a fraction of training."""
    pseudo_loss: Literal["cross_entropy", "dice", "dice_ce"] = "cross_entropy"
    """Loss against pseudo-labels, over the accepted voxels."""
    labels_from: Literal["model", "teacher"] = "model"
    """The network that labels the weak view: the model itself, or its moving average, which then also predicts."""
    decay: Decay = "auto"
    """Decay of the moving average, after its warm-up; auto: 1 - 60 / steps, from 0.85 to 0.99."""
    teacher_mode: TeacherMode = "train"
    """The moving average during training: with dropout and batch statistics (train), or as in prediction (eval)."""
    buffers: BufferPolicy = "own"
    """Running statistics of the moving average: its own, a copy of the model's, or averaged (ema)."""
    weak_view: WeakView = "geometry"
    """The weak view: the sample with the zooms, rotations and flips of the recipe's augmentation (geometry), or with
    its changes of intensities, too (recipe)."""
    strength: Annotated[float, Field(ge=0)] = 1.0
    """Strength of the strong view's intensity changes; 0 for none."""
    cut_out: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Longest side of the strong view's cut-out box, as a fraction of the patch's; 0 for no box."""
    cutmix: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that a box of a strong view and of its label is that of the other unlabeled sample of a pair
    (CutMix); above 0, unlabeled samples are drawn in pairs."""
    cutmix_side: tuple[Share, Share] = (0.25, 0.6)
    """Bounds of the sides of that box, as fractions of the patch's."""

    @field_validator("cutmix_side")
    @classmethod
    def _in_order(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        if bounds[0] > bounds[1]:
            raise ValueError("the first bound is above the second")
        return bounds

    @model_validator(mode="after")
    def _statistics(self) -> Self:
        if self.teacher_mode == "eval" and self.buffers == "own":
            raise ValueError("a teacher in eval mode does not collect its own statistics: set buffers to copy or ema")
        return self


class FixMatch(Strategy[FixMatchOptions]):
    """FixMatch: unlabeled samples in a strong view, against the argmax of the weak view where that is confident.

    Sohn et al. 2020 (arXiv:2001.07685), equations 3 and 4, per voxel: cross entropy at voxels with a probability of at
    least 0.95, averaged over all voxels, weight 1, no ramp-up. The weak view is the sample with the geometry of the
    recipe's augmentation alone (the paper: flips and shifts), run without gradient; the strong view adds intensity
    changes, noise and a cut-out box. Rejected voxels are ignored.

    Variants: ``pseudo_loss=dice`` is the masked Dice of UniMatch's code for medical images (there with squared
    probabilities). SSL4MIS, train_fixmatch_cta.py, is ``labels_from=teacher, threshold=0, pseudo_loss=dice_ce,
    loss=dice_ce, weight=0.1, ramp=sigmoid, ramp_share=1``: a moving average labels every voxel (its threshold option is
    never read) and predicts. Its train_fixmatch_standard_augs.py has no equivalent here: it treats rejected voxels as
    background.
    """

    no_regions: ClassVar[str] = ""

    @classmethod
    def roles(cls, options: FixMatchOptions) -> tuple[Role, ...]:
        """Return one network, called model, and with ``labels_from=teacher`` also its moving average."""
        if options.labels_from == "model":
            return (deeply_supervised(Role("model"), options),)
        roles = Role("model", predicts=False), Role("teacher", trained=False, initialized_like="model")
        return tuple(deeply_supervised(role, options) for role in roles)

    @classmethod
    def batch_needs(cls, options: FixMatchOptions) -> BatchNeeds:
        """Return that unlabeled samples are drawn in pairs for CutMix."""
        return BatchNeeds(unlabeled=StreamNeeds(unit=2)) if options.cutmix else cls.needs

    def uses_unlabeled(self, step: Step) -> bool:
        """Return whether the weight of the pseudo-label loss has begun to rise."""
        return has_begun(self.options, step, self.options.wait_share)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss plus the weighted loss of strong views against labels from weak views."""
        o, unlabeled = self.options, batch.unlabeled
        labels = self._labels(batch)
        strong = strong_view(unlabeled.image, unlabeled.slots, step, "fixmatch", o.strength, o.cut_out)
        strong, labels = self._mixed(strong, labels, batch, step)
        outputs = self.outputs("model", torch.cat([batch.labeled.image, strong]))
        on_labeled, on_strong = batch.divide(outputs.logits)
        supervised = supervised_loss(on_labeled, batch, o.loss, self.coding, outputs.scales)
        pseudo = Term(masked_loss(on_strong, labels, o.pseudo_loss, self.coding), unlabeled)
        accepted = Term(accepted_share(labels), unlabeled)
        terms = {"supervised": supervised, "pseudo": weight_at(o, step, o.wait_share) * pseudo}
        yield Losses(terms, "model", log={"accepted": accepted})

    def _mixed(self, strong: Tensor, labels: Tensor, batch: Batch, step: Step) -> tuple[Tensor, Tensor]:
        """Paste a box of each pair's other sample into strong views and labels."""
        o = self.options
        if not o.cutmix or not len(strong):
            return strong, labels
        shape = tuple(strong.shape[2:])
        masks = one_box_masks(shape, batch.unlabeled.slots, step, "fixmatch/cutmix", o.cutmix_side, o.cutmix)
        return paste(swapped(strong), strong, masks), paste(swapped(labels), labels, masks)

    def _labels(self, batch: Batch) -> Tensor:
        """Return labels of the weak views, (b, \\*spatial) int64 or IGNORE."""
        images, teacher = batch.unlabeled.image, self.options.labels_from == "teacher"
        with torch.no_grad():
            if len(images):  # a network need not support an empty batch
                mode = self.options.teacher_mode if teacher else "train"
                with teaching(self.networks[self.options.labels_from], mode):
                    logits = self.run(self.options.labels_from, images)
                return confident_labels(logits, self.options.threshold, self.coding)
            own = teacher and self.options.buffers == "own" and has_statistics(self.networks["teacher"])
            if own and batch.unlabeled.count == 0:
                # Without unlabeled samples, the teacher's running statistics would keep their initial values.
                self.run("teacher", batch.labeled.image)
        return batch.labeled.label[:0]

    def after_step(self, step: Step) -> None:
        """Update the moving average; its own running statistics, if it has them, are of weak views, as in SSL4MIS."""
        if self.options.labels_from == "teacher":
            decay = decay_at(step, self.options.decay)
            update_teacher(self.networks["teacher"], self.networks["model"], decay, self.options.buffers)
