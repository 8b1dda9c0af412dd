"""Cross teaching: two networks of different architectures that train on each other's pseudo-labels."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.co_training import CoTraining
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.split import Outputs
from semiseg.strategy_parts.deep_supervision import DeepSupervisionOptions, deeply_supervised, logits_and_scales
from semiseg.strategy_parts.ramps import RampName, RampShare, has_begun, weight_at
from semiseg.strategy_parts.streams import supervised_loss


class CrossTeachingOptions(DeepSupervisionOptions):
    """Options of cross teaching."""

    weight: Annotated[float, Field(ge=0)] = 0.2
    """Weight of the pseudo-label loss, after the ramp-up."""
    ramp: RampName = "sigmoid"
    """Shape of the weight's ramp-up."""
    ramp_share: RampShare = "auto"
    """Length of the ramp-up, as a fraction of training; auto: steps / 30 000, from 0.4 to 1 (the public
    code: 1)."""


class CrossTeaching(CoTraining[CrossTeachingOptions]):
    """Cross teaching (CTCT): a convolutional network and a transformer, each trained on the other's argmax.

    Luo et al. 2022, "Semi-Supervised Medical Image Segmentation via Cross Teaching between CNN and Transformer"
    (arXiv:2112.04894), equations 4 to 6: for each network the supervised loss plus a weight times the Dice loss of
    unlabeled samples against the other network's argmax. The defaults are those of its public code (SSL4MIS,
    train_cross_teaching_between_cnn_transformer_2D.py): a sigmoid ramp-up, there over the whole training. Its weight of
    0.1 stands beside half of Dice plus cross entropy, so that 0.2 here gives twice its loss. The paper tests only the
    convolutional network; here both predict. Networks: the recipe's backbone and ``unetr`` (the paper: U-Net and
    Swin-UNet, in 2D), or those named in ``strategy.networks``.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"ramp_share": 1.0}}
    no_regions: ClassVar[str] = ""

    @classmethod
    def roles(cls, options: CrossTeachingOptions) -> tuple[Role, ...]:
        """Return two students, the second with a different backbone; both predict."""
        roles = Role("student_a"), Role("student_b", backbone="unetr")
        return tuple(deeply_supervised(role, options) for role in roles)

    def student_output(self, role: str, images: Tensor) -> Tensor | Outputs:
        """Return the logits, and with deep supervision those of all scales."""
        return self.outputs(role, images) if self.options.deep_supervision else self.run(role, images)

    def uses_pseudo_labels(self, step: Step) -> bool:
        """Return whether their weight has begun to rise."""
        return has_begun(self.options, step)

    def pseudo_label(self, role: str, output: Tensor, batch: Batch) -> Tensor:
        """Return the most probable class of the unlabeled samples, (b, \\*spatial) uint8."""
        return self.hard(batch.divide(output)[1])

    def loss(
        self, role: str, output: Tensor | Outputs, pseudo_labels: Mapping[str, Any], batch: Batch, step: Step
    ) -> Losses:
        """Return the loss of one network."""
        logits, scales = logits_and_scales(output)
        labeled, unlabeled = batch.divide(logits)
        supervised = supervised_loss(labeled, batch, self.options.loss, self.coding, scales)
        pseudo = Term()
        for labels in pseudo_labels.values():  # the other network's, or none yet
            pseudo += Term(self.coding.loss(unlabeled, labels, "dice"), batch.unlabeled)
        return Losses({"supervised": supervised, "pseudo": weight_at(self.options, step) * pseudo}, role)
