"""The Pi-model: two views of a sample are to be predicted alike."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.strategy import Losses, Role, Strategy, StrategyOptions
from semiseg.strategy_parts.flips import draw_flips, flip
from semiseg.strategy_parts.ramps import RampName, ramp
from semiseg.strategy_parts.streams import stream_mean, supervised_loss
from semiseg.strategy_parts.views import strong_view


class PiModel(Strategy):
    """Pi-model: the supervised loss plus the squared difference between the predictions of two views.

    Laine and Aila 2017 (arXiv:1610.02242), algorithm 1: the mean over voxels and classes of (p - p')^2, dropout and
    view being drawn anew for p'. The first view is the sample as the recipe augments it; the second has other
    intensities and noise on top, and is flipped; its prediction is flipped back before it is compared. The defaults
    are those of USB (microsoft/Semi-supervised-learning, pimodel.py, classic_cv): unlabeled samples, no gradient into
    the first prediction, weight 10, linear over the first 40 % of training. The paper's own is
    ``consistency_on=labeled_and_unlabeled, gradient=both, ramp=sigmoid, ramp_share=0.27`` (80 of 300 epochs), with
    weight 100 times the labeled share of the cases.
    """

    class Options(StrategyOptions):
        """Options of the Pi-model."""

        weight: Annotated[float, Field(ge=0)] = 10.0
        """Weight of the squared difference, after the ramp-up."""
        ramp: RampName = "linear"
        """How the weight rises."""
        ramp_share: Annotated[float, Field(ge=0, le=1)] = 0.4
        """Share of training that the rise takes."""
        consistency_on: Literal["labeled_and_unlabeled", "unlabeled"] = "unlabeled"
        """The samples that have a second view: the unlabeled ones (USB), or all (the paper)."""
        gradient: Literal["second", "both"] = "second"
        """The views that learn from the difference: the second alone (USB), or both (the paper)."""
        strength: Annotated[float, Field(ge=0)] = 0.5
        """How much the second view's intensities change; 1 is FixMatch's strong view, 0 not at all."""
        flips: bool = True
        """Whether the second view is flipped at random along each axis."""
        loss: Literal["dice", "dice_ce"] = "dice"
        """Supervised loss: dice, or the sum of Dice and cross entropy."""

    exact: ClassVar[frozenset[str]] = frozenset({"micro_batch"})

    @classmethod
    def roles(cls, options: Any) -> tuple[Role, ...]:
        """One network, called model."""
        return (Role("model"),)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """The supervised loss on first views, plus the weighted difference between the views."""
        o = self.options
        streams = (batch.unlabeled,) if o.consistency_on == "unlabeled" else (batch.labeled, batch.unlabeled)
        logits = self.run("model", batch.images())
        labeled, unlabeled = batch.divide(logits)
        supervised = supervised_loss(labeled, batch, o.loss)
        first = self.probabilities(unlabeled if o.consistency_on == "unlabeled" else logits)
        images = torch.cat([stream.image for stream in streams])
        second = self._second(images, [slot for stream in streams for slot in stream.slots], step, first)
        target = first.detach() if o.gradient == "second" else first
        difference = stream_mean((second - target).square().flatten(1).mean(dim=1), *streams)
        weight = o.weight * ramp(o.ramp, step.index / step.total, o.ramp_share)
        parts = {"supervised": supervised.detach(), "consistency": difference.detach()}
        yield Losses(supervised + weight * difference, frozenset({"model"}), parts)

    def _second(self, images: Tensor, slots: list[int], step: Step, first: Tensor) -> Tensor:
        """Probabilities of the second view, (n, K, X, Y, Z), in the place of the first."""
        if not len(images):  # a network need not take an empty batch
            return first
        view = strong_view(images, slots, step, "pi_model", self.options.strength)
        if not self.options.flips:
            return self.probabilities(self.run("model", view))
        flips = draw_flips(slots, step, "pi_model/flips", view.dim() - 2)
        return flip(self.probabilities(self.run("model", flip(view, flips))), flips)
