"""The Pi-model: consistent predictions for two views of a sample."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import Strategy
from semiseg.strategy_parts.deep_supervision import DeepSupervisionOptions, deeply_supervised
from semiseg.strategy_parts.flips import draw_flips, flip
from semiseg.strategy_parts.ramps import RampName, has_begun, weight_at
from semiseg.strategy_parts.streams import mean_over_voxels, supervised_loss
from semiseg.strategy_parts.views import strong_view


class PiModelOptions(DeepSupervisionOptions):
    """Options of the Pi-model."""

    weight: Annotated[float, Field(ge=0)] = 10.0
    """Weight of the squared difference, after the ramp-up."""
    ramp: RampName = "linear"
    """Shape of the weight's ramp-up."""
    ramp_share: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Length of the ramp-up, as a fraction of training."""
    consistency_on: Literal["labeled_and_unlabeled", "unlabeled"] = "unlabeled"
    """The samples with a second view: the unlabeled ones (USB), or all (the paper)."""
    gradient: Literal["second", "both"] = "second"
    """The views that receive gradients from the difference: only the second (USB), or both (the paper)."""
    strength: Annotated[float, Field(ge=0)] = 0.5
    """Strength of the second view's intensity changes; 1 is FixMatch's strong view, 0 for none."""
    flips: bool = True
    """Random flips of the second view along each axis."""


class PiModel(Strategy[PiModelOptions]):
    """Pi-model: the supervised loss plus the squared difference between the predictions of two views.

    Laine and Aila 2017 (arXiv:1610.02242), algorithm 1: the mean over voxels and classes of (p - p')^2, with dropout
    and view drawn again for p'. The first view is the sample as augmented by the recipe; the second adds intensity
    changes and noise, and is flipped; its prediction is flipped back before the comparison. The defaults are those of
    USB (microsoft/Semi-supervised-learning, pimodel.py, classic_cv): unlabeled samples, no gradient into the first
    prediction, weight 10, linear over the first 40 % of training. The paper uses
    ``consistency_on=labeled_and_unlabeled, gradient=both, ramp=sigmoid, ramp_share=0.27`` (80 of 300 epochs), with
    weight 100 times the labeled fraction of the cases.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}}
    no_regions: ClassVar[str] = ""

    @classmethod
    def roles(cls, options: PiModelOptions) -> tuple[Role, ...]:
        """Return one network, called model."""
        return (deeply_supervised(Role("model"), options),)

    def uses_unlabeled(self, step: Step) -> bool:
        """Return whether the weight of the difference has begun to rise."""
        return has_begun(self.options, step)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss on first views plus the weighted difference between the views."""
        o = self.options
        streams = (batch.unlabeled,) if o.consistency_on == "unlabeled" else (batch.labeled, batch.unlabeled)
        outputs = self.outputs("model", batch.images())
        logits = outputs.logits
        labeled, unlabeled = batch.divide(logits)
        supervised = supervised_loss(labeled, batch, o.loss, self.coding, outputs.scales)
        first = self.probabilities(unlabeled if o.consistency_on == "unlabeled" else logits)
        images = torch.cat([stream.image for stream in streams])
        second = self._second(images, [slot for stream in streams for slot in stream.slots], step, first)
        target = first.detach() if o.gradient == "second" else first
        difference = Term(mean_over_voxels((second - target).square(), *streams), *streams)
        yield Losses({"supervised": supervised, "consistency": weight_at(o, step) * difference}, "model")

    def _second(self, images: Tensor, slots: list[int], step: Step, first: Tensor) -> Tensor:
        """Return probabilities of the second view, (n, K, \\*spatial), in the orientation of the first."""
        if not len(images):  # a network need not support an empty batch
            return first
        view = strong_view(images, slots, step, "pi_model", self.options.strength)
        if not self.options.flips:
            return self.probabilities(self.run("model", view))
        flips = draw_flips(slots, step, "pi_model/flips", view.dim() - 2)
        return flip(self.probabilities(self.run("model", flip(view, flips))), flips)
