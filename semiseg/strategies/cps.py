"""Cross pseudo supervision: two networks that train on each other's pseudo-labels."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, model_validator
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.co_training import CoTraining
from semiseg.interfaces.strategy import Losses, Role, StrategyOptions
from semiseg.losses.named import named_losses
from semiseg.strategy_parts.streams import stream_mean


class CrossPseudoSupervision(CoTraining):
    """Cross pseudo supervision (CPS): two networks, each trained on the labels and the other's argmax.

    Luque et al. 2023, "Reducing Annotator's Burden: Cross-Pseudo Supervision for Brain Tumor Segmentation", equations 2
    to 4: for each network, the mean over labeled samples of [Dice(P, Y) + phi Dice(P, Y')] plus phi times the mean over
    unlabeled samples of Dice(P, Y'), where Y' is the other network's argmax; the two networks' losses are added. The
    original method (Chen et al. 2021, arXiv:2106.01226) is phi 1.5, ``cross_entropy``.
    """

    class Options(StrategyOptions):
        """Options of CPS; defaults are those of the 3D paper, except the wait period, which it gives in epochs."""

        phi: Annotated[float, Field(ge=0)] = 0.5
        """Weight of the pseudo-label loss."""
        wait_epochs: NonNegativeInt | None = None
        """Epochs of supervised training before the networks train on each other's pseudo-labels (the paper: 15)."""
        wait_share: Annotated[float, Field(ge=0, lt=1)] | None = None
        """The same wait as a fraction of training. If it is too short, the networks may agree on wrong labels."""
        pseudo_loss: Literal["dice", "cross_entropy"] = "dice"
        """Loss against pseudo-labels: dice (the 3D paper) or cross_entropy (the original CPS)."""
        pseudo_on: Literal["labeled_and_unlabeled", "unlabeled"] = "labeled_and_unlabeled"
        """The samples that are trained on pseudo-labels (equation 3: both)."""
        loss: Literal["dice", "dice_ce"] = "dice"
        """Supervised loss: dice (the paper), or the sum of Dice and cross entropy."""

        @model_validator(mode="after")
        def _one_wait(self) -> "CrossPseudoSupervision.Options":
            if self.wait_epochs is not None and self.wait_share is not None:
                raise ValueError("give wait_epochs or wait_share, not both")
            return self

    @classmethod
    def roles(cls, options: Any) -> tuple[Role, ...]:
        """Return two students with different initial weights; both predict."""
        return (Role("student_a"), Role("student_b"))

    def uses_pseudo_labels(self, step: Step) -> bool:
        """Return whether the wait period is over."""
        if self.options.wait_epochs is not None:
            return step.epoch >= int(self.options.wait_epochs)
        return step.index >= (self.options.wait_share or 0.0) * step.total

    def pseudo_label(self, role: str, output: Tensor, batch: Batch) -> Tensor:
        """Return the most probable class, (n, X, Y, Z) uint8: the paper's pseudo-label."""
        return self.hard(output)

    def loss(self, role: str, output: Tensor, pseudo_labels: Mapping[str, Any], batch: Batch, step: Step) -> Losses:
        """Return equations 2 to 4 for one network."""
        crossed = [(pseudo_label, self.options.pseudo_loss) for pseudo_label in pseudo_labels.values()]
        own, *others = named_losses(output, [(batch.labeled.label, self.options.loss), *crossed])
        supervised, pseudo = stream_mean(own, batch.labeled), output.new_zeros(())
        for losses in others:
            on_labeled, on_unlabeled = batch.divide(losses)
            pseudo = pseudo + stream_mean(on_unlabeled, batch.unlabeled)
            if self.options.pseudo_on == "labeled_and_unlabeled":
                pseudo = pseudo + stream_mean(on_labeled, batch.labeled)
        parts = {"supervised": supervised.detach(), "pseudo": pseudo.detach()}
        return Losses(supervised + self.options.phi * pseudo, frozenset({role}), parts)
