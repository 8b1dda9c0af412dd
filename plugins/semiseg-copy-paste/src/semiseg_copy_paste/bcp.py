"""BCP: bidirectional copy-paste between labeled and unlabeled images."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from semiseg.plugin import (
    CLASSES,
    IGNORE,
    Batch,
    BatchNeeds,
    Coding,
    Decay,
    Losses,
    Role,
    Stage,
    Step,
    Strategy,
    Stream,
    StreamNeeds,
    Term,
    WeakViewOptions,
    copy_paste_masks,
    paste,
    settled_decay,
    update_teacher,
)
from semiseg_copy_paste.components import largest_components


class BCPOptions(WeakViewOptions):
    """Options of BCP; the defaults are those for the left atrium."""

    pretrain_share: Annotated[float, Field(gt=0, lt=1)] = 2 / 17
    """Share of training for the first stage, on labeled samples only."""
    weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of pseudo-labeled regions; labeled ones have weight 1."""
    side: Annotated[float, Field(gt=0, lt=1)] = 2 / 3
    """Sides of the box, as a share of the patch's sides."""
    decay: Decay = "auto"
    """Decay of the teacher's moving average; auto: 1 - 60 / steps, from 0.85 to 0.99 (the paper: 0.99)."""
    largest_component: bool = True
    """Keep only the largest connected component of each class in pseudo-labels; the rest becomes background."""
    predict_with: Literal["model", "teacher"] = "model"
    """Network that predicts: the model (the public code) or its moving average."""
    loss: Literal["dice", "dice_ce"] = "dice_ce"
    """Loss of a region: dice, or half the sum of Dice and cross entropy (the paper)."""


class BidirectionalCopyPaste(Strategy[BCPOptions]):
    """BCP: train on mixes of a labeled and an unlabeled sample, made by pasting a box of one into the other.

    Bai et al. 2023, "Bidirectional Copy-Paste for Semi-Supervised Medical Image Segmentation" (arXiv:2305.00673),
    as in its public code for the left atrium (DeepMed-Lab-ECNU/BCP, LA_BCP_train.py and BCP_utils.py). Two stages:

    - ``pretrain``, 2000 of 17000 iterations: from labeled samples a and b, a with a box of b pasted in, labels
      likewise.
    - ``self_train``, with a new optimizer and a teacher that starts as a copy of the model and is then its moving
      average: from labeled a, b and unlabeled c, d, a with a box of c pasted in, and d with the same box of b pasted
      in. The pseudo-labels of c and d are the teacher's argmax, reduced to the largest connected component of each
      foreground class.

    The loss of a region is half the sum of Dice and cross entropy, over the voxels of that region only. Pseudo-labeled
    regions have weight 0.5, and the losses of the two directions are added. There is no ramp-up: the public code
    computes one but only logs it. The model predicts, as in that code. Both streams of a batch are divided into pairs.
    If one stream has fewer pairs, it determines the number of mixes, and the surplus of the other is not used in that
    step.

    Differences: each pair has its own box, anywhere in the patch, with rounded sides (public code: one box per step,
    never at the last position, sides rounded down); the teacher takes one forward pass instead of two, and so does the
    model (this affects batch normalization only); the model is not selected by its Dice on the test set before it
    becomes the teacher. The public code also keeps only the largest component of test predictions.

    The public code's batch is 4 labeled and 4 unlabeled samples (lines 39 and 40 at 7879f98): four mixes a step, but
    two in pre-training, from 4 labeled samples, while the unlabeled ones are drawn and not used (131 to 161). Here all
    8 are then labeled, and make four mixes; ``training.batch_size.fill: trainings`` is as there.

    The public code's versions for other datasets cannot be reproduced exactly: both keep the optimizer of the first
    stage. Apart from that, Pancreas is close to ``pretrain_share=0.23`` (with 18-connectivity), and ACDC to
    ``pretrain_share=0.25`` (10000 and 30000 iterations, of 12 + 12 slices; 0.5 until commit b62b10b of July 2023,
    before which its ``pre_iterations`` was not read) on slices, with a Dice with squares over the whole batch, and
    averaged running statistics. On slices the box is a rectangle, and components are those of a slice, as there.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"decay": 0.99}}
    no_regions: ClassVar[str] = ""
    needs: ClassVar[BatchNeeds] = BatchNeeds(StreamNeeds(minimum=2, unit=2), StreamNeeds(unit=2))
    # A part of the batch may have fewer pairs of one stream than of the other.
    whole_batch: ClassVar[bool] = True

    @classmethod
    def roles(cls, options: BCPOptions) -> tuple[Role, ...]:
        """Return one network and its moving average; one of them predicts."""
        teacher = options.predict_with == "teacher"
        return (
            Role("model", predicts=not teacher),
            Role("teacher", trained=False, predicts=teacher, initialized_like="model"),
        )

    def stages(self) -> tuple[Stage, ...]:
        """Return the stage on labeled samples only, then the one on both streams."""
        share = self.options.pretrain_share
        return Stage("pretrain", share, unlabeled=False), Stage("self_train", 1 - share, reset="optimizer")

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the loss of mixed labeled samples or, in the second stage, of labeled and unlabeled samples mixed."""
        if step.stage == "pretrain" or not len(batch.unlabeled):
            yield self._within_labeled(batch, step)
        else:
            yield self._both_ways(batch, step)

    def _within_labeled(self, batch: Batch, step: Step) -> Losses:
        stream = batch.labeled
        masks = self._masks(stream, step)
        logits = self.run("model", paste(stream.image[1::2], stream.image[::2], masks))
        labels = paste(stream.label[1::2], stream.label[::2], masks)
        supervised = Term(region_loss(logits, labels, self.options.loss, self.coding), stream, samples_each=2)
        return Losses({"supervised": supervised}, "model")

    def _both_ways(self, batch: Batch, step: Step) -> Losses:
        o, fewer = self.options, min(batch.labeled, batch.unlabeled, key=len)
        labeled, unlabeled = (stream.image[: len(fewer)] for stream in (batch.labeled, batch.unlabeled))
        taught = self._pseudo_labels(unlabeled)  # before the model's forward pass, whose activations stay in memory
        masks = self._masks(fewer, step).to(labeled.device)
        mixed = paste(unlabeled[::2], labeled[::2], masks), paste(labeled[1::2], unlabeled[1::2], masks)
        logits = self.run("model", torch.cat(mixed))
        is_labeled = torch.cat([~masks, masks])
        labels = torch.where(is_labeled, firsts_then_seconds(batch.labeled.label[: len(fewer)]), IGNORE)
        pseudo_labels = torch.where(is_labeled, IGNORE, firsts_then_seconds(taught))
        # Each direction has one mixed sample for two of the stream, and its own mean.
        supervised = Term(2 * region_loss(logits, labels, o.loss, self.coding), fewer)
        pseudo = Term(2 * region_loss(logits, pseudo_labels, o.loss, self.coding), fewer)
        return Losses({"supervised": supervised, "pseudo": o.weight * pseudo}, "model")

    def _masks(self, stream: Stream, step: Step) -> Tensor:
        """Return a box for every pair of samples of a stream, True inside."""
        return copy_paste_masks(tuple(stream.image.shape[2:]), stream.slots[::2], step, "bcp", self.options.side)

    def _pseudo_labels(self, images: Tensor) -> Tensor:
        """Return the teacher's labels of unlabeled images (n, C, \\*spatial): (n, \\*spatial) int64."""
        with torch.no_grad():
            logits = self.run("teacher", images)
        labels = self.hard(logits).long()
        return largest_components(labels) if self.options.largest_component else labels

    def after_step(self, step: Step) -> None:
        """Copy the model to the teacher in the first stage; then average, with the teacher's own running statistics."""
        teacher, model = self.networks["teacher"], self.networks["model"]
        if step.stage == "pretrain":
            update_teacher(teacher, model, 0.0)
        else:
            update_teacher(teacher, model, settled_decay(step, self.options.decay), buffers="own")


def region_loss(logits: Tensor, labels: Tensor, kind: str, coding: Coding = CLASSES) -> Tensor:
    """Return the loss of each sample over the voxels that are not ignored, as if there were no others.

    Args:
        logits: (n, K, \\*spatial) float.
        labels: (n, \\*spatial) int64 class indices, or IGNORE.
        kind: "dice", or "dice_ce" for half the sum of Dice and mean cross entropy.
        coding: what the logits mean.

    Returns:
        (n,) losses; 0 if all voxels are ignored.
    """
    loss = coding.loss(logits, labels, kind, has_ignored=True)
    return loss / 2 if kind == "dice_ce" else loss


def firsts_then_seconds(values: Tensor) -> Tensor:
    """Return the first of each pair, then the second of each pair: the order of the two directions."""
    return torch.cat([values[::2], values[1::2]])
