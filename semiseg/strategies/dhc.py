"""DHC: cross pseudo supervision with weights of classes, by difficulty in one network and by rarity in the other."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.co_training import CoTraining
from semiseg.interfaces.losses import Losses, Term
from semiseg.losses.cross_entropy import weighted_cross_entropy
from semiseg.strategy_parts.class_weights import Difficulty, Rarity, counts_of, hard_dice
from semiseg.strategy_parts.ema import settled_decay
from semiseg.strategy_parts.loss_options import LossOptions
from semiseg.strategy_parts.ramps import RampName, RampShare, has_begun, weight_at
from semiseg.strategy_parts.streams import without_ignored
from semiseg.strategy_parts.views import WeakViewOptions

MOST_CLASSES = 256
"""The number of classes is known with the first logits only, and pseudo-labels are uint8."""


class DHCOptions(WeakViewOptions, LossOptions):
    """Options of DHC."""

    weight: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the pseudo-label loss, after the ramp-up."""
    ramp: RampName = "sigmoid"
    """Shape of the weight's rise."""
    ramp_share: RampShare = "auto"
    """Length of the ramp-up, as a fraction of training; auto: steps / 30 000, from 0.4 to 1 (the public code: 1)."""
    decay: Annotated[float, Field(ge=0.5, lt=1)] | Literal["auto"] = "auto"
    """Decay of the moving average of rarities; that of difficulties is half as long, 1 - 2 (1 - decay). auto: 1 - 60 /
    steps, from 0.85 to 0.99 (the public code: 0.99 and 0.98)."""
    floor: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Smallest weight of a class, as a fraction of the largest possible; 1 gives all classes the same weight."""


class DHC(CoTraining[DHCOptions]):
    """DHC: two networks trained on each other's argmax, with different weights of classes for rare and hard ones.

    Wang and Li 2023, "DHC: Dual-debiased Heterogeneous Co-training Framework for Class-imbalanced Semi-supervised
    Medical Image Segmentation" (arXiv:2307.11960, MICCAI), as in its public code (xmed-lab/DHC at b3dee97,
    code/train_dhc.py:140-325): for each network the loss of labeled samples, cross entropy plus Dice, and ``weight``
    times the cross entropy of all samples against the other's argmax, all with the network's own weights of classes.
    Cross entropies are divided by the sum of the voxels' weights, Dice losses are multiplied by the class's. Weights
    are at most the number of classes K.

    - ``student_a``: by difficulty. With d the Dice of its argmax on a step's labels and d' the previous one, a class
      learns by (d - d') log(d / d') where d rises, and unlearns by the same where it falls; both are averaged over
      steps. Its weight is (unlearned / learned)^(1/5) times the average of 1 - d, divided by the maximum.
    - ``student_b``: by rarity. With n the number of a class's voxels, log(max n / n) divided by its maximum, averaged
      over the steps' own pseudo-labels of unlabeled samples, beginning with the value of labels.

    Weights are updated before they are used in a step. Networks differ by their initial weights and by this alone; the
    mean of their probabilities predicts (in the code, the softmax of the mean of their logits).

    Differences: a class that a step's labels lack keeps its difficulty (the code takes its Dice as 1/2 or about 0), and
    one that pseudo-labels lack keeps its rarity (there it counts as 1e-8 voxels, so that the weights of all classes
    that are there fall to a fraction). Weights are at least ``floor`` times K; in the code, the most frequent class,
    background, has the weight 0 for ``student_b``. The rarity of labels is that of all labels of the steps so far,
    since the strategy does not know the others; the code counts all labels at the start. A class that labels did not
    have yet has the weight K. ``loss`` has 1 - Dice, where the code subtracts Dice, and the Dice's constant is 1e-5,
    there 1. The code selects the checkpoint on centers of validation cases, where a class that is absent from both
    label and prediction has a Dice of 1/2.

    Variants: the code's Dice is that of the foreground over the batch, in a recipe ``training.dice`` with
    ``background: false`` and ``batch: true``. ``floor=1, loss=cross_entropy`` is CPS with cross
    entropies.
    """

    no_regions: ClassVar[str] = "its weights are of classes that exclude each other"
    whole_batch: ClassVar[bool] = True
    exact: ClassVar[frozenset[str]] = frozenset({"alternating"})  # in split, no process would have both networks' state

    difficulty: Tensor
    rarity: Tensor
    labeled: Tensor

    def __init__(self, options: DHCOptions, networks: Mapping[str, nn.Module]) -> None:
        super().__init__(options, networks)
        labeled, *averages = Rarity.start(MOST_CLASSES)
        start = {
            "difficulty": torch.stack(Difficulty.start(MOST_CLASSES)),
            "rarity": torch.stack(averages),
            "labeled": labeled,
        }
        for name, value in start.items():
            self.register_buffer(name, value)
            self.register_buffer(f"next_{name}", value.clone())  # from ``losses``, for ``after_step``

    def uses_pseudo_labels(self, step: Step) -> bool:
        """Return whether their weight has begun to rise."""
        return has_begun(self.options, step)

    def pseudo_label(self, role: str, output: Tensor, batch: Batch) -> Tensor:
        """Return the most probable class of all samples, (n, \\*spatial) uint8."""
        return self.hard(output)

    def loss(self, role: str, output: Tensor, pseudo_labels: Mapping[str, Any], batch: Batch, step: Step) -> Losses:
        """Return the loss of one network, with its weights of classes after this step."""
        by = self._by_difficulty if role == "student_a" else self._by_rarity
        weights = by(output.detach(), batch, step)
        pseudo = Term()
        for labels in pseudo_labels.values():  # the other network's, or none yet
            entropy = weighted_cross_entropy(output, without_ignored(labels, batch), weights)
            pseudo += Term.of_whole_batch(entropy)
        supervised = Term.of_whole_batch(self._supervised(output[: len(batch.labeled)], batch, weights))
        return Losses({"supervised": supervised, "pseudo": weight_at(self.options, step) * pseudo}, role)

    def after_step(self, step: Step) -> None:
        """Take over the averages that the step's losses were computed with."""
        for name in ("difficulty", "rarity", "labeled"):
            self.get_buffer(name).copy_(self.get_buffer(f"next_{name}"))

    def _supervised(self, logits: Tensor, batch: Batch, weights: Tensor) -> Tensor:
        """Return the weighted loss of the labeled samples' logits, a scalar."""
        labeled, kind = batch.labeled, self.options.loss
        total = logits.new_zeros(())
        if kind != "dice":
            total = total + weighted_cross_entropy(logits, labeled.label, weights)
        if kind != "cross_entropy":
            p = self.probabilities(logits)
            total = total + self.coding.dice_of_probabilities(p, labeled.label, labeled.has_ignored, weights).mean()
        return total

    @torch.no_grad()
    def _by_difficulty(self, logits: Tensor, batch: Batch, step: Step) -> Tensor:
        """Return the weights (K,) after this step's labels."""
        labels, classes = batch.labeled.label, logits.shape[1]
        dice, present = hard_dice(self.hard(logits[: len(labels)]), labels, classes)
        decay = 1 - 2 * (1 - settled_decay(step, self.options.decay))
        after = Difficulty(*self.difficulty[:, :classes]).after(dice, present, decay)
        self.get_buffer("next_difficulty")[:, :classes] = torch.stack(after)
        return after.weights(self.options.floor)

    @torch.no_grad()
    def _by_rarity(self, logits: Tensor, batch: Batch, step: Step) -> Tensor:
        """Return the weights (K,) after this step's labels and, once they are used, its pseudo-labels."""
        labels, classes = batch.labeled.label, logits.shape[1]
        labeled = counts_of(labels, classes)
        unlabeled = self.hard(logits[len(labels) :])
        counted = counts_of(unlabeled, classes) if self.uses_pseudo_labels(step) else torch.zeros_like(labeled)
        before = Rarity(self.labeled[:classes], *self.rarity[:, :classes])
        after = before.after(labeled, counted, settled_decay(step, self.options.decay))
        self.get_buffer("next_labeled")[:classes] = after.labeled
        self.get_buffer("next_rarity")[:, :classes] = torch.stack(after[1:])
        return after.weights(self.options.floor)
