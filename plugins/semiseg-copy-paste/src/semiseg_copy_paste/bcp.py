"""BCP: a box of a labeled volume pasted into an unlabeled one, and the other way around."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from semiseg.plugin import (
    IGNORE,
    Batch,
    BatchNeeds,
    Losses,
    Role,
    Stage,
    Step,
    Strategy,
    StrategyOptions,
    Stream,
    StreamNeeds,
    copy_paste_masks,
    masked_loss,
    paste,
    stream_mean,
    update_teacher,
)
from semiseg_copy_paste.components import largest_components


class BidirectionalCopyPaste(Strategy):
    """BCP: learn from volumes that are labeled in a box and pseudo-labeled around it, and the other way around.

    Bai et al. 2023, "Bidirectional Copy-Paste for Semi-Supervised Medical Image Segmentation" (arXiv:2305.00673),
    as in its public code for the left atrium (DeepMed-Lab-ECNU/BCP, LA_BCP_train.py and BCP_utils.py). Two stages:

    - ``pretrain``, 2000 of 17000 iterations: of labeled samples a, b, a with a box of b in it, labels alike.
    - ``self_train``, with a new optimizer and a teacher that starts as the model, then is its moving average: of
      labeled a, b and unlabeled c, d, a with a box of c in it, and d with the same box of b in it. The pseudo-labels
      of c and d are the teacher's argmax, of each foreground class the largest connected component.

    The loss of a region is half of Dice plus cross entropy, over its voxels alone; pseudo-labeled regions weigh half,
    and the two directions are added. There is no ramp-up: the public code works one out, and only logs it. The model
    predicts, as there. A batch has groups of two in both streams. Where one has fewer, there are as many mixes as it
    has groups, and what the other has more is left out of that step.

    Differences: each group has a box of its own, at any place, its sides rounded (there one box a step, never at the
    last place, rounded down); the teacher's two passes are one and so are the model's (it matters to batch
    normalization alone); the model is not chosen by its Dice on the test set before it becomes the teacher. The test
    there keeps the largest component of a prediction.

    That code's versions for other data have no variant here: both go on with the optimizer of the first stage.
    Pancreas else is near ``pretrain_share=0.23`` (18 neighbors connect there), ACDC near ``pretrain_share=0.5``
    (30000 iterations each, for its ``pre_iterations`` is never read), in 2D, with a Dice of squares over the whole
    batch, and running statistics that are averaged.
    """

    class Options(StrategyOptions):
        """Options of BCP; the defaults are those for the left atrium."""

        pretrain_share: Annotated[float, Field(gt=0, lt=1)] = 2 / 17
        """Share of training for the first stage, on labeled samples alone."""
        weight: Annotated[float, Field(ge=0)] = 0.5
        """Weight of a pseudo-labeled region; a labeled one has 1."""
        side: Annotated[float, Field(gt=0, lt=1)] = 2 / 3
        """Sides of the box, as shares of the patch's."""
        decay: Annotated[float, Field(ge=0, le=1)] = 0.99
        """Decay of the teacher's moving average."""
        largest_component: bool = True
        """Whether pseudo-labels keep the largest connected component alone; the rest becomes background."""
        predict_with: Literal["model", "teacher"] = "model"
        """Who predicts: the model (the public code) or its moving average."""
        loss: Literal["dice", "dice_ce"] = "dice_ce"
        """Loss of a region: dice, or half the sum of Dice and cross entropy (the paper)."""

    needs: ClassVar[BatchNeeds] = BatchNeeds(StreamNeeds(minimum=2, unit=2), StreamNeeds(unit=2))
    # Not exact by micro-batches: a part need not have as many groups of one stream as of the other.

    @classmethod
    def roles(cls, options: Any) -> tuple[Role, ...]:
        """One network and its moving average; one of them predicts."""
        teacher = options.predict_with == "teacher"
        return (
            Role("model", predicts=not teacher),
            Role("teacher", trained=False, predicts=teacher, initialized_like="model"),
        )

    def stages(self) -> tuple[Stage, ...]:
        """Labeled samples alone, then both streams."""
        share = self.options.pretrain_share
        return Stage("pretrain", share), Stage("self_train", 1 - share, reset="optimizer")

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """The loss of mixed labeled samples; in the second stage that of labeled samples mixed with unlabeled ones."""
        if step.stage == "pretrain" or not len(batch.unlabeled):
            yield self._within_labeled(batch, step)
        else:
            yield self._both_ways(batch, step)

    def _within_labeled(self, batch: Batch, step: Step) -> Losses:
        stream = batch.labeled
        masks = self._masks(stream, step)
        logits = self.run("model", paste(stream.image[1::2], stream.image[::2], masks))
        labels = paste(stream.label[1::2], stream.label[::2], masks)
        # A mixed sample stands for two of the stream.
        supervised = 2 * stream_mean(region_loss(logits, labels, self.options.loss), stream)
        return Losses(supervised, frozenset({"model"}), {"supervised": supervised.detach()})

    def _both_ways(self, batch: Batch, step: Step) -> Losses:
        o, fewer = self.options, min(batch.labeled, batch.unlabeled, key=len)
        labeled, unlabeled = (stream.image[: len(fewer)] for stream in (batch.labeled, batch.unlabeled))
        taught = self._pseudo_labels(unlabeled)  # before the model's forward, whose activations stay
        masks = self._masks(fewer, step).to(labeled.device)
        mixed = paste(unlabeled[::2], labeled[::2], masks), paste(labeled[1::2], unlabeled[1::2], masks)
        logits = self.run("model", torch.cat(mixed))
        is_labeled = torch.cat([~masks, masks])
        labels = torch.where(is_labeled, firsts_then_seconds(batch.labeled.label[: len(fewer)]), IGNORE)
        pseudo_labels = torch.where(is_labeled, IGNORE, firsts_then_seconds(taught))
        # Each direction has a mixed sample for two of the stream, and a mean of its own.
        supervised = 2 * stream_mean(region_loss(logits, labels, o.loss), fewer)
        pseudo = 2 * stream_mean(region_loss(logits, pseudo_labels, o.loss), fewer)
        parts = {"supervised": supervised.detach(), "pseudo": pseudo.detach()}
        return Losses(supervised + o.weight * pseudo, frozenset({"model"}), parts)

    def _masks(self, stream: Stream, step: Step) -> Tensor:
        """A box for every two samples of a stream, True inside."""
        return copy_paste_masks(tuple(stream.image.shape[2:]), stream.slots[::2], step, "bcp", self.options.side)

    def _pseudo_labels(self, images: Tensor) -> Tensor:
        """The teacher's labels of unlabeled images (n, C, X, Y, Z): (n, X, Y, Z) int64."""
        with torch.no_grad():
            logits = self.run("teacher", images)
        labels = self.hard(logits).long()
        return largest_components(labels, logits.shape[1]) if self.options.largest_component else labels

    def after_step(self, step: Step) -> None:
        """Copy the model into the teacher in the first stage; then average, with running statistics of its own."""
        teacher, model = self.networks["teacher"], self.networks["model"]
        if step.stage == "pretrain":
            update_teacher(teacher, model, 0.0)
        else:
            update_teacher(teacher, model, self.options.decay, buffers="own")


def region_loss(logits: Tensor, labels: Tensor, kind: str) -> Tensor:
    """The loss of each sample over the voxels that are not ignored, as if there were no others.

    Args:
        logits: (n, K, X, Y, Z) float.
        labels: (n, X, Y, Z) int64 class indices, or IGNORE.
        kind: "dice", or "dice_ce" for half of Dice plus the mean of the cross entropy.

    Returns:
        (n,) losses; 0 where all voxels are ignored.
    """
    dice = masked_loss(logits, labels, "dice")
    if kind == "dice":
        return dice
    region = (labels != IGNORE).flatten(1).sum(dim=1).clamp_min(1)
    entropy = masked_loss(logits, labels, "cross_entropy") * labels.shape[1:].numel() / region
    return (dice + entropy) / 2


def firsts_then_seconds(values: Tensor) -> Tensor:
    """The first ones of all groups of two, then the second ones, as the two directions have them."""
    return torch.cat([values[::2], values[1::2]])
