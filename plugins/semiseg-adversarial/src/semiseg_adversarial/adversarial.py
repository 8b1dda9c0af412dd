"""What DAN and SASSNet share: a network that wants its predictions of unlabeled samples to be taken for labeled ones'.

The critic learns to tell them apart; both are updated in every step.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, ClassVar, TypeVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from semiseg.plugin import (
    Batch,
    Losses,
    LossOptions,
    Outputs,
    RampName,
    RampShare,
    Step,
    Strategy,
    Term,
    teaching,
    weight_at,
)
from semiseg_adversarial.critic import LABELED, UNLABELED, channel_factors


class AdversarialOptions(LossOptions):
    """Options of both."""

    weight: Annotated[float, Field(ge=0)]
    """Weight of the adversarial loss, after the ramp-up."""
    ramp: RampName = "sigmoid"
    """Shape of the weight's rise."""
    ramp_share: RampShare = "auto"
    """Length of the ramp-up, as a fraction of training; auto: steps / 30 000, from 0.4 to 1 (the public
    code: 1)."""
    critic_lr: Annotated[float, Field(gt=0)] = 1e-4
    """Learning rate of the critic's Adam, at the start: the recipe's schedule applies to it, too."""
    critic_channels: Annotated[int, Field(ge=1)] = 64
    """Channels of the critic's first level; each of its three further levels has twice as many."""
    critic_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Dropout of whole channels of the critic while it is trained."""


OptionsT = TypeVar("OptionsT", bound=AdversarialOptions)


class Adversarial(Strategy[OptionsT]):
    """Base of these strategies: the losses of the two roles, ``model`` and ``critic``.

    A subclass states the roles, the losses of labeled samples, and the part of the outputs that the critic sees.
    """

    # The critic sees a labeled sample whole; gaps at the voxels that must count in no loss would tell it at once.
    supports_ignored: ClassVar[bool] = False

    @abstractmethod
    def labeled_losses(self, outputs: Outputs, batch: Batch) -> dict[str, Term]:
        """Return the losses of the labeled samples from the outputs of all samples, by name, with weights."""

    @abstractmethod
    def judged(self, outputs: Outputs) -> Tensor:
        """Return what the critic sees besides the images, (n, maps, \\*spatial)."""

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the network's loss, of labels and of what the critic says, and then the critic's.

        The critic is run without dropout for the first and with it for the second, for which the network predicts in
        eval mode; both networks are updated at the end of the step.
        """
        yield self._of_model(batch, step)
        yield self._of_critic(batch, step)

    def _of_model(self, batch: Batch, step: Step) -> Losses:
        outputs, unlabeled = self.outputs("model", batch.images()), batch.unlabeled
        terms = self.labeled_losses(outputs, batch)
        _, maps = batch.divide(self.judged(outputs))
        taken_for_labeled = maps.new_zeros(0)
        if len(unlabeled):
            logits = self.run("critic", maps, unlabeled.image)
            taken_for_labeled = -logits.log_softmax(dim=1)[:, LABELED]
        terms["adversarial"] = weight_at(self.options, step) * Term(taken_for_labeled, unlabeled)
        return Losses(terms, "model")

    def _of_critic(self, batch: Batch, step: Step) -> Losses:
        o, images, streams = self.options, batch.images(), (batch.labeled, batch.unlabeled)
        with torch.no_grad(), teaching(self.networks["model"], "eval"):
            maps = self.judged(self.outputs("model", images))
        slots = (*batch.labeled.slots, *batch.unlabeled.slots)
        logits = self.run("critic", maps, images, channel_factors(slots, step, o.critic_dropout, o.critic_channels))
        is_labeled = torch.arange(len(images), device=images.device) < len(batch.labeled)
        truth = torch.where(is_labeled, LABELED, UNLABELED)
        told = Term(F.cross_entropy(logits, truth, reduction="none"), *streams)
        right = Term((logits.argmax(dim=1) == truth).float(), *streams)
        return Losses({"critic": told}, "critic", {"critic_right": right})
