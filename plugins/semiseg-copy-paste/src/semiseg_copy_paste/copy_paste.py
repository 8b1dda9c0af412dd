"""What BCP and methods on top of it share: samples pasted into each other, and the loss of their regions."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeVar

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
    LabeledStream,
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


class CopyPasteOptions(WeakViewOptions):
    """Options of BCP and of methods on top of it; the defaults are BCP's for the left atrium."""

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
    loss: Literal["dice", "dice_ce"] = "dice_ce"
    """Loss of a region: dice, or half the sum of Dice and cross entropy (the paper)."""


OptionsT = TypeVar("OptionsT", bound=CopyPasteOptions)


@dataclass(frozen=True, slots=True, eq=False)
class Mixes:
    """The mixed samples of a step.

    Attributes:
        image: (n, C, \\*spatial): of labeled samples, one for each pair; of both streams, first those that are labeled
            outside of the box, and then those that are labeled inside.
        label: (n, \\*spatial) int64: the label in labeled regions, IGNORE elsewhere.
        pseudo_label: the teacher's label in the other regions, IGNORE elsewhere; None for mixes of labeled samples.
        stream: the samples that determine the number of mixes.
    """

    image: Tensor
    label: Tensor
    pseudo_label: Tensor | None
    stream: Stream


class CopyPaste(Strategy[OptionsT]):
    """Base of these strategies: two stages, the mixes of a step, the loss of their regions, and the teacher.

    A subclass states its roles, of which one is called ``teacher`` and starts as a copy of ``averaged``, and yields the
    losses of ``mixes``.
    """

    needs: ClassVar[BatchNeeds] = BatchNeeds(StreamNeeds(minimum=2, unit=2), StreamNeeds(unit=2))
    # A part of the batch may have fewer pairs of one stream than of the other.
    whole_batch: ClassVar[bool] = True
    averaged: ClassVar[str] = "model"
    """The role whose moving average the teacher is."""

    def stages(self) -> tuple[Stage, ...]:
        """Return the stage on labeled samples only, then the one on both streams, with a new optimizer."""
        share = self.options.pretrain_share
        return Stage("pretrain", share, unlabeled=False), Stage("self_train", 1 - share, reset="optimizer")

    def mixes(self, batch: Batch, step: Step) -> Mixes:
        """Return mixes of labeled samples or, in the second stage, of both streams in both directions."""
        if step.stage == "pretrain" or not len(batch.unlabeled):
            return self._within_labeled(batch.labeled, step)
        return self._both_ways(batch, step)

    def region_losses(self, logits: Tensor, mixes: Mixes) -> dict[str, Term]:
        """Return the loss of the labeled regions and, if there are any, the weighted one of the others.

        The losses of the two directions are added, each a mean over its mixes.
        """
        o = self.options
        supervised = region_loss(logits, mixes.label, o.loss, self.coding)
        if mixes.pseudo_label is None:
            return {"supervised": Term(supervised, mixes.stream, samples_each=2)}
        # Each direction has one mixed sample for two of the stream, and its own mean.
        pseudo = region_loss(logits, mixes.pseudo_label, o.loss, self.coding)
        return {"supervised": Term(2 * supervised, mixes.stream), "pseudo": o.weight * Term(2 * pseudo, mixes.stream)}

    def after_step(self, step: Step) -> None:
        """Copy the network to the teacher in the first stage; then average, without its running statistics."""
        teacher, network = self.networks["teacher"], self.networks[self.averaged]
        if step.stage == "pretrain":
            update_teacher(teacher, network, 0.0)
        else:
            update_teacher(teacher, network, settled_decay(step, self.options.decay), buffers="own")

    def _within_labeled(self, stream: LabeledStream, step: Step) -> Mixes:
        masks = self._masks(stream, step)
        image = paste(stream.image[1::2], stream.image[::2], masks)
        return Mixes(image, paste(stream.label[1::2], stream.label[::2], masks), None, stream)

    def _both_ways(self, batch: Batch, step: Step) -> Mixes:
        fewer = min(batch.labeled, batch.unlabeled, key=len)
        labeled, unlabeled = (stream.image[: len(fewer)] for stream in (batch.labeled, batch.unlabeled))
        taught = self._pseudo_labels(unlabeled)
        masks = self._masks(fewer, step).to(labeled.device)
        mixed = paste(unlabeled[::2], labeled[::2], masks), paste(labeled[1::2], unlabeled[1::2], masks)
        is_labeled = torch.cat([~masks, masks])
        label = torch.where(is_labeled, firsts_then_seconds(batch.labeled.label[: len(fewer)]), IGNORE)
        pseudo_label = torch.where(is_labeled, IGNORE, firsts_then_seconds(taught))
        return Mixes(torch.cat(mixed), label, pseudo_label, fewer)

    def _masks(self, stream: Stream, step: Step) -> Tensor:
        """Return a box for every pair of samples of a stream, True inside."""
        return copy_paste_masks(tuple(stream.image.shape[2:]), stream.slots[::2], step, "bcp", self.options.side)

    def _pseudo_labels(self, images: Tensor) -> Tensor:
        """Return the teacher's labels of unlabeled images (n, C, \\*spatial): (n, \\*spatial) int64."""
        with torch.no_grad():
            logits = self.run("teacher", images)
        labels = self.hard(logits).long()
        return largest_components(labels) if self.options.largest_component else labels


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
