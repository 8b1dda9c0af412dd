"""Cross pseudo supervision: two networks that train on each other's pseudo-labels."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.co_training import CoTraining
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.split import Outputs
from semiseg.strategy_parts.deep_supervision import (
    DeepSupervisionOptions,
    deeply_supervised,
    logits_and_scales,
    over_scales,
)
from semiseg.strategy_parts.durations import wait_share
from semiseg.strategy_parts.loss_options import LossName
from semiseg.strategy_parts.streams import without_ignored
from semiseg.strategy_parts.views import WeakViewOptions


class CPSOptions(WeakViewOptions, DeepSupervisionOptions):
    """Options of CPS; defaults are those of the 3D paper's code, except the wait period and the supervised loss."""

    newer: ClassVar[frozenset[str]] = DeepSupervisionOptions.newer

    phi: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the pseudo-label loss."""
    pseudo_mean: Literal["joint", "each_stream"] = "joint"
    """Mean of the pseudo-label loss: joint over labeled and unlabeled samples (the public code of both papers), or the
    mean over labeled samples plus the mean over unlabeled ones (equation 3 as printed): with as many of both, twice as
    much."""
    wait_epochs: NonNegativeInt | None = None
    """Epochs of supervised training before the networks train on each other's pseudo-labels (the paper: 15)."""
    wait_share: Literal["auto"] | Annotated[float, Field(ge=0, lt=1)] | None = "auto"
    """The same wait as a fraction of training; null: no wait. If it is too short, the networks may agree on wrong
    labels. auto: 160 steps, but at most 40 % of training and at least 1.5 % of it."""
    pseudo_loss: LossName = "dice"
    """Loss against pseudo-labels: dice (the 3D paper), cross_entropy (the original CPS), or their sum, dice_ce."""
    pseudo_on: Literal["labeled_and_unlabeled", "unlabeled"] = "labeled_and_unlabeled"
    """The samples that are trained on pseudo-labels (equation 3: both)."""

    @model_validator(mode="before")
    @classmethod
    def _epochs_alone(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("wait_epochs") is not None:
            return {"wait_share": None, **values}
        return values

    @model_validator(mode="after")
    def _one_wait(self) -> Self:
        if self.wait_epochs is not None and self.wait_share is not None:
            raise ValueError("give wait_epochs or wait_share, not both")
        return self


class CrossPseudoSupervision(CoTraining[CPSOptions]):
    """Cross pseudo supervision (CPS): two networks, each trained on the labels and the other's argmax.

    Luque et al. 2023, "Reducing Annotator's Burden: Cross-Pseudo Supervision for Brain Tumor Segmentation", equations 2
    to 4, as in its code (lidialuq/brats-semisup, trainer.py:195-221 at 9d4557a): for each network, the mean over
    labeled samples of Dice(P, Y), plus phi times the mean over all samples of Dice(P, Y'), where Y' is the other
    network's argmax; the two networks' losses are added. The original method (Chen et al. 2021, arXiv:2106.01226;
    charlesCXK/TorchSemiSeg, train.py:185-194 at 5e0c29c) is phi 1.5, ``pseudo_loss=cross_entropy`` and
    ``loss=cross_entropy`` without a wait.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"loss": "dice", "wait_share": 0.015}}
    no_regions: ClassVar[str] = ""

    @classmethod
    def roles(cls, options: CPSOptions) -> tuple[Role, ...]:
        """Return two students with different initial weights; both predict."""
        return tuple(deeply_supervised(role, options) for role in super().roles(options))

    def student_output(self, role: str, images: Tensor) -> Tensor | Outputs:
        """Return the logits, and with deep supervision those of all scales."""
        return self.outputs(role, images) if self.options.deep_supervision else self.run(role, images)

    def uses_pseudo_labels(self, step: Step) -> bool:
        """Return whether the wait period is over."""
        o = self.options
        if o.wait_epochs is not None:
            return step.epoch >= o.wait_epochs
        share = wait_share(step.total) if o.wait_share == "auto" else o.wait_share or 0
        return step.index >= share * step.total

    def pseudo_label(self, role: str, output: Tensor, batch: Batch) -> Tensor:
        """Return the most probable class, (n, \\*spatial) uint8: the paper's pseudo-label."""
        return self.hard(output)

    def loss(
        self, role: str, output: Tensor | Outputs, pseudo_labels: Mapping[str, Any], batch: Batch, step: Step
    ) -> Losses:
        """Return equations 2 to 4 for one network."""
        o, labeled = self.options, batch.labeled
        logits, scales = logits_and_scales(output)
        peers = [without_ignored(labels, batch) for labels in pseudo_labels.values()]
        own, pseudo = self._losses(logits, peers, batch)
        coarser = [scale[: len(labeled)] for scale in scales]
        own = over_scales(own, coarser, lambda one: self.coding.loss(one, labeled.label, o.loss, labeled.has_ignored))
        return Losses({"supervised": Term(own, labeled), "pseudo": o.phi * pseudo}, role)

    def _losses(self, logits: Tensor, peers: Sequence[Tensor], batch: Batch) -> tuple[Tensor, Term]:
        """Return the supervised loss of each labeled sample, and the loss against the peers' pseudo-labels."""
        o, labeled, unlabeled = self.options, batch.labeled, batch.unlabeled
        on_both = o.pseudo_on == "labeled_and_unlabeled"
        if on_both and o.pseudo_mean == "joint":
            wanted = [(labeled.label, o.loss), *((labels, o.pseudo_loss) for labels in peers)]
            own, *others = self.coding.losses(logits, wanted, labeled.has_ignored)
            return own, sum((Term(values, labeled, unlabeled) for values in others), Term())
        # Each stream by itself: with sums over the batch (``training.dice``), a sample's Dice depends on the others.
        on_labeled, on_unlabeled = batch.divide(logits)
        n = len(labeled)
        wanted = [(labeled.label, o.loss), *((labels[:n], o.pseudo_loss) for labels in peers if on_both)]
        own, *others = self.coding.losses(on_labeled, wanted, labeled.has_ignored)
        pseudo = sum((Term(values, labeled) for values in others), Term())
        for values in self.coding.losses(on_unlabeled, [(labels[n:], o.pseudo_loss) for labels in peers]):
            pseudo += Term(values, unlabeled)
        return own, pseudo
