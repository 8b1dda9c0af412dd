"""SASSNet: distance maps of unlabeled samples that a critic takes for those of labeled ones."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from semiseg.plugin import (
    SIGNED_DISTANCE,
    Batch,
    BatchNeeds,
    Outputs,
    Role,
    Task,
    Term,
    distance_error,
    supervised_loss,
    with_distance_head,
)
from semiseg_adversarial.adversarial import Adversarial, AdversarialOptions
from semiseg_adversarial.critic import critic_role


class SASSNetOptions(AdversarialOptions):
    """Options of SASSNet."""

    beta: Annotated[float, Field(ge=0)] = 0.3
    """Weight of the distance map's squared error on labeled samples."""
    weight: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the adversarial loss, after the ramp-up (the public code: 0.01 for 16 labeled cases, 0.015 for 8)."""


class SASSNet(Adversarial[SASSNetOptions]):
    """SASSNet, shape-aware segmentation: a critic tells distance maps of labeled samples from those of unlabeled ones.

    Li, Zhang, He 2020, "Shape-aware Semi-supervised 3D Semantic Segmentation for Medical Images" (arXiv:2007.10732,
    MICCAI), as in its public code (kleinzcy/SASSnet at 1761aa8, code/train_gan_sdfloss.py:145-200).
    A second head predicts for each foreground class the normalized signed distance to its boundary, phi = tanh(head),
    negative inside. The network's loss is the supervised one, plus ``beta`` times the mean squared error of phi on
    labeled samples, plus ``weight`` times the mean of -log D(phi, x)["labeled"] over the unlabeled samples. Then the
    critic D (``Critic``), which sees the distance maps with the image x, is trained by its cross entropy over all
    samples, for which the network predicts in eval mode and the critic has dropout. The weight rises to its value
    along a sigmoid over the whole training (6000 steps). The supervised loss there is Dice alone (``loss: dice``;
    :170), and the learning rate of the critic's Adam is 1e-4. The first head predicts. The network there has one
    foreground class and a sigmoid; here each foreground class has its own distance map, and probabilities come from
    the softmax.

    Mistakes of that code that are left out: the critic's targets are [1, 1, 0, 0] for any batch (:153), and those of
    the unlabeled samples are as many as the labeled ones (:174); the distances of a class that fills the patch divide
    by zero (code/utils/util.py:144); the logged Dice is that of the argmax of a single channel, which is always
    background (:182). The critic fits one size of patches alone. Nothing there works on slices; here all of it does.

    Differences: the critic sees predictions of the network as it was before this step's update (there after it), so
    that a step can be divided; its learning rate has the recipe's schedule (there it is constant), and Adam's second
    beta is 0.999 (there 0.99, :124); Dice there is that of the foreground over the batch, with squared probabilities.

    Variant: 8 labeled cases of the left atrium are ``weight=0.015``.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"loss": "dice", "weight": 0.01, "ramp_share": 1.0}}
    no_regions: ClassVar[str] = "its distance maps are those of classes"
    needs: ClassVar[BatchNeeds] = BatchNeeds(targets=(SIGNED_DISTANCE,))
    requires: ClassVar[frozenset[str]] = frozenset({"split"})
    # As in the base class; the distance to a boundary that may run through unlabeled voxels is unknown, too.
    supports_ignored: ClassVar[bool] = False

    @classmethod
    def roles(cls, options: SASSNetOptions) -> tuple[Role, ...]:
        """Return a network with a second head, and its critic, which sees one channel per foreground class."""
        critic = critic_role(_foreground, options.critic_channels, options.critic_lr)
        return Role("model", network=with_distance_head), critic

    def labeled_losses(self, outputs: Outputs, batch: Batch) -> dict[str, Term]:
        """Return the supervised loss and the error of the distance map."""
        logits, _ = batch.divide(outputs.logits)
        distances, _ = batch.divide(self.judged(outputs))
        return {
            "supervised": supervised_loss(logits, batch, self.options.loss, self.coding),
            "distance": self.options.beta * distance_error(distances, batch.labeled),
        }

    def judged(self, outputs: Outputs) -> Tensor:
        """Return the distance maps (n, K - 1, \\*spatial), in [-1, 1]."""
        return outputs.heads[SIGNED_DISTANCE.name].tanh()


def _foreground(task: Task) -> int:
    return len(task.classes) - 1
