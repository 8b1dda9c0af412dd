"""DAN: probabilities of unlabeled samples that a critic takes for those of labeled ones."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from semiseg.plugin import Batch, Outputs, Role, Task, Term, supervised_loss
from semiseg_adversarial.adversarial import Adversarial, AdversarialOptions
from semiseg_adversarial.critic import critic_role


class DANOptions(AdversarialOptions):
    """Options of DAN."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the adversarial loss, after the ramp-up (the public code: 0.1 beside half the supervised loss, which is
    0.2 here)."""


class DAN(Adversarial[DANOptions]):
    """DAN, a deep adversarial network: a critic tells probabilities of labeled samples from those of unlabeled ones.

    Zhang et al. 2017, "Deep Adversarial Networks for Biomedical Image Segmentation Utilizing Unannotated Images"
    (MICCAI), as in SSL4MIS (HiLab-git/SSL4MIS at 06df604, code/train_adversarial_network_3D.py:135-169 and
    train_adversarial_network_2D.py:143-178). With D(p, x) the critic's probabilities for an image x and the softmax p
    of the network's logits, the network's loss is the supervised one plus ``weight`` times the mean of
    -log D(p, x)["labeled"] over the unlabeled samples. Then the critic's loss is its cross entropy over all samples,
    for which the network predicts in eval mode and the critic has dropout. The weight rises to its value along a
    sigmoid over the whole training; 0.1 there stands beside half the sum of Dice and cross entropy, so that 0.2 here
    (preset ``paper``) gives twice the network's loss. The critic (``Critic``) has Adam with the learning rate 1e-4.

    Mistakes of that code that are left out: the targets in 3D are [1, 1, 0, 0] for any batch (:135), and in 2D and 3D
    the targets of the unlabeled samples are as many as the labeled ones (2D:161-162; 3D:152-153); here streams may have
    any size. The critic fits one size of patches alone.

    Differences: the critic sees predictions of the network as it was before this step's update (there after it), so
    that a step can be divided; its learning rate has the recipe's schedule (there it is constant), and Adam's second
    beta is 0.999 (there 0.99, 2D:125-126); Dice there has squared probabilities, over the batch. The network predicts;
    the critic is not needed for that.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"weight": 0.2, "ramp_share": 1.0}}
    no_regions: ClassVar[str] = ""

    @classmethod
    def roles(cls, options: DANOptions) -> tuple[Role, ...]:
        """Return the network and its critic, which sees one channel per class or region."""
        return Role("model"), critic_role(_outputs, options.critic_channels, options.critic_lr)

    def labeled_losses(self, outputs: Outputs, batch: Batch) -> dict[str, Term]:
        """Return the supervised loss."""
        labeled, _ = batch.divide(outputs.logits)
        return {"supervised": supervised_loss(labeled, batch, self.options.loss, self.coding)}

    def judged(self, outputs: Outputs) -> Tensor:
        """Return the probabilities (n, K, \\*spatial)."""
        return self.probabilities(outputs.logits)


def _outputs(task: Task) -> int:
    return task.out_channels
