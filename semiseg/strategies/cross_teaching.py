"""Cross teaching: two networks of different architectures that train on each other's pseudo-labels."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.co_training import CoTraining
from semiseg.interfaces.strategy import Losses, Role, StrategyOptions
from semiseg.losses.named import named_loss
from semiseg.strategy_parts.ramps import RampName, ramp
from semiseg.strategy_parts.streams import stream_mean, supervised_loss


class CrossTeaching(CoTraining):
    """Cross teaching (CTCT): a convolutional network and a transformer, each trained on the other's argmax.

    Luo et al. 2022, "Semi-Supervised Medical Image Segmentation via Cross Teaching between CNN and Transformer"
    (arXiv:2112.04894), equations 4 to 6, in 3D: for each network the supervised loss plus a weight times the Dice loss
    of unlabeled samples against the other network's argmax. The defaults are those of its public code (SSL4MIS,
    train_cross_teaching_between_cnn_transformer_2D.py): weight 0.1, and a sigmoid ramp-up over the whole training.
    There the supervised loss is half of Dice plus cross entropy: ``loss=dice_ce, weight=0.2`` is twice its loss. The
    paper tests only the convolutional network; here both predict. Networks: the recipe's backbone and ``unetr`` (the
    paper: U-Net and Swin-UNet, in 2D), or those named in ``strategy.networks``.
    """

    class Options(StrategyOptions):
        """Options of cross teaching."""

        weight: Annotated[float, Field(ge=0)] = 0.1
        """Weight of the pseudo-label loss, after the ramp-up."""
        ramp: RampName = "sigmoid"
        """Shape of the weight's ramp-up."""
        ramp_share: Annotated[float, Field(ge=0, le=1)] = 1.0
        """Length of the ramp-up, as a fraction of training."""
        loss: Literal["dice", "dice_ce"] = "dice"
        """Supervised loss: dice, or the sum of Dice and cross entropy."""

    @classmethod
    def roles(cls, options: Any) -> tuple[Role, ...]:
        """Return two students, the second with a different backbone; both predict."""
        return (Role("student_a"), Role("student_b", backbone="unetr"))

    def pseudo_label(self, role: str, output: Tensor, batch: Batch) -> Tensor:
        """Return the most probable class of the unlabeled samples, (b, X, Y, Z) uint8."""
        return self.hard(batch.divide(output)[1])

    def loss(self, role: str, output: Tensor, pseudo_labels: Mapping[str, Any], batch: Batch, step: Step) -> Losses:
        """Return the loss of one network."""
        o = self.options
        labeled, unlabeled = batch.divide(output)
        supervised = supervised_loss(labeled, batch, o.loss)
        (labels,) = pseudo_labels.values()
        pseudo = stream_mean(named_loss(unlabeled, labels, "dice"), batch.unlabeled)
        weight = o.weight * ramp(o.ramp, step.index / step.total, o.ramp_share)
        parts = {"supervised": supervised.detach(), "pseudo": pseudo.detach()}
        return Losses(supervised + weight * pseudo, frozenset({role}), parts)
