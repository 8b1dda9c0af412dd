"""CPS with CutMix: two networks that train each other with pseudo-labels on mixed unlabeled samples."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from semiseg.plugin import (
    Batch,
    BatchNeeds,
    Bounds,
    CoTraining,
    Losses,
    LossOptions,
    RampName,
    Step,
    StreamNeeds,
    Term,
    WeakViewOptions,
    cutmix_masks,
    has_begun,
    paste,
    supervised_loss,
    wait_share,
    weight_at,
)

Share = Annotated[float, Field(ge=0, le=1)]


class CPSCutMixOptions(WeakViewOptions, LossOptions):
    """Options of CPS with CutMix."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the pseudo-label loss, after wait and ramp-up."""
    wait_share: Literal["auto"] | Annotated[float, Field(ge=0, lt=1)] = "auto"
    """Share of training before the networks start to train on each other's pseudo-labels; auto: 160 steps, but at most
    40 % of training and at least 1.5 % of it (the public code: none)."""
    ramp: RampName = "constant"
    """Shape of the weight's rise after the wait; constant means no ramp-up."""
    ramp_share: Share = 0.0
    """Share of training over which the weight rises."""
    pseudo_loss: Literal["cross_entropy", "dice"] = "cross_entropy"
    """Loss against mixed pseudo-labels: cross_entropy (the paper) or dice."""
    boxes: PositiveInt = 3
    """Number of boxes of a mask; each further overlap inverts the mask again."""
    mixed_share: Bounds = (0.25, 0.5)
    """Bounds of the boxes' total share of the image, before overlaps."""


class CutMixCPS(CoTraining[CPSCutMixOptions]):
    """CPS with CutMix: two networks, each trained on mixed unlabeled samples against the other's argmax, mixed alike.

    Chen et al. 2021, "Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision" (arXiv:2106.01226); the
    mixing follows French et al. 2020 (arXiv:1906.01916). Each network predicts two unmixed unlabeled samples without
    gradient. Inside the boxes of a mask, image and argmax are taken from the second sample, elsewhere from the first.
    The loss of a network is the supervised loss plus the weighted loss of its prediction on the mixed sample against
    the other network's mixed argmax. The defaults are those of the public code (charlesCXK/TorchSemiSeg,
    voc8.res50v3+.CPS+CutMix): cross entropy on unlabeled samples only (plain CPS includes the labeled ones), no
    threshold, no ramp-up, weight 1, except for the wait, which is that of plain CPS. For Cityscapes
    (city8.res50v3+.CPS+CutMix) use ``weight=5``. The supervised loss
    there is cross entropy, ``loss=cross_entropy``. Labeled and mixed samples share one forward pass, instead of two
    there; this affects batch normalization only.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"loss": "cross_entropy", "wait_share": 0.0}}
    no_regions: ClassVar[str] = ""
    needs: ClassVar[BatchNeeds] = BatchNeeds(unlabeled=StreamNeeds(unit=2))

    def uses_pseudo_labels(self, step: Step) -> bool:
        """Return whether the wait is over."""
        return has_begun(self.options, step, self._wait(step))

    def _wait(self, step: Step) -> float:
        share = self.options.wait_share
        return wait_share(step.total) if share == "auto" else share

    def student_images(self, batch: Batch, step: Step) -> Tensor:
        """Return the labeled samples, then one mixed sample for every two unlabeled ones."""
        return torch.cat([batch.labeled.image, self._mixed(batch.unlabeled.image, batch, step)])

    def teacher_images(self, batch: Batch, student_images: Tensor, step: Step) -> Tensor:
        """Return the unmixed unlabeled samples or, if there are none, the students' images, to avoid an empty batch."""
        return batch.unlabeled.image if len(batch.unlabeled) else student_images

    def pseudo_label(self, role: str, output: Tensor, batch: Batch) -> Tensor:
        """Return the most probable class of the unlabeled samples, (b, \\*spatial) uint8, not yet mixed."""
        return self.hard(output[: len(batch.unlabeled)])

    def loss(self, role: str, output: Tensor, pseudo_labels: Mapping[str, Any], batch: Batch, step: Step) -> Losses:
        """Return the loss of one network."""
        o = self.options
        labeled, mixed = output.tensor_split([len(batch.labeled)])
        pseudo = Term()
        for pseudo_label in pseudo_labels.values():
            values = self.coding.loss(mixed, self._mixed(pseudo_label, batch, step), o.pseudo_loss)
            pseudo += Term(values, batch.unlabeled, samples_each=2)
        terms = {
            "supervised": supervised_loss(labeled, batch, o.loss, self.coding),
            "pseudo": weight_at(o, step, self._wait(step)) * pseudo,
        }
        return Losses(terms, role)

    def _mixed(self, values: Tensor, batch: Batch, step: Step) -> Tensor:
        """Mix the unlabeled samples' images (b, C, \\*spatial) or labels (b, \\*spatial) in pairs: b / 2 results.

        The masks are redrawn on each call, but depend only on step and slots, so images and labels get the same ones.
        """
        o, slots = self.options, batch.unlabeled.slots[::2]
        masks = cutmix_masks(tuple(batch.unlabeled.image.shape[2:]), slots, step, "cps_cutmix", o.mixed_share, o.boxes)
        return paste(values[1::2], values[::2], masks)
