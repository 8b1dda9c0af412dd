"""SDCL: two networks on the mixes of BCP, corrected where they disagree."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from semiseg.plugin import IGNORE, Batch, Losses, Role, Stage, Step, Term
from semiseg_copy_paste.copy_paste import CopyPaste, CopyPasteOptions, Mixes

STUDENTS = ("model_a", "model_b")


class SDCLOptions(CopyPasteOptions):
    """Options of SDCL; the defaults are those for the left atrium."""

    pretrain_share: Annotated[float, Field(gt=0, lt=1)] = 16 / 71
    """Share of training for the first stage, on labeled samples only."""
    mse_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the squared distance from the label, where the networks disagree."""
    kl_weight: Annotated[float, Field(ge=0)] = 0.05
    """Weight of the divergence from the uniform distribution, where they disagree and the network is wrong."""
    predict_with: Literal["mean", "model_a", "model_b"] = "mean"
    """Network that predicts, or the mean of both."""


class SDCL(CopyPaste[SDCLOptions]):
    """SDCL: two networks trained on the mixes of BCP, with two more losses at the voxels where they disagree.

    Song and Wang 2024, "SDCL: Students Discrepancy-Informed Correction Learning for Semi-supervised Medical Image
    Segmentation" (arXiv:2409.16728, MICCAI), as in its public code for the left atrium (pascalcpp/SDCL at cfb260f,
    code/LA_train.py and code/pancreas/losses.py). Stages, mixes and the loss of regions are BCP's (``bcp``), and both
    networks see the same mixes. The teacher is the moving average of ``model_a``. In the second stage, D are the
    voxels of a direction's mixes where the networks' argmax differ, and each network's loss gets

    - ``mse_weight`` times the mean over D of the squared difference between its probabilities and the one-hot label,
      averaged over classes;
    - ``kl_weight`` times the mean, over the voxels of D where its argmax is not the label, of -log p, averaged over
      classes: it takes the network's certainty away there.

    The label is the mix's, and a voxel of a pseudo-labeled region counts ``weight`` in the sums, but 1 in their
    number. The second stage keeps the optimizers of the first, as the code does. ``model_b`` is ``vnet``, a residual
    V-Net, unless ``strategy.networks`` names another: the code has a V-Net and one with a ResNet as encoder.

    Differences: the code selects all of its checkpoints on the test cases, also those with which the second stage
    begins, and the best one of either network and of their mean; here the last weights are kept, and the mean
    predicts. Its lists are not shuffled and one stream's is reversed, so that a case always meets the same partners;
    here pairs are drawn. Boxes and forward passes differ as in ``bcp``, and the batch is the same: 4 labeled and 4
    unlabeled samples, and in the first stage the labeled ones alone.

    Variants: Pancreas is ``mse_weight=0.3, kl_weight=0.1, pretrain_share=0.24`` (101 and 321 epochs). ACDC is
    ``pretrain_share=0.2`` (100 and 400 epochs) on slices, with a Dice with squares over the whole batch, and averaged
    running statistics.
    """

    no_regions: ClassVar[str] = "it compares the classes of two networks, and probabilities with one-hot labels"
    averaged: ClassVar[str] = "model_a"

    @classmethod
    def roles(cls, options: SDCLOptions) -> tuple[Role, ...]:
        """Return two networks and the moving average of the first."""
        first, second = (options.predict_with in ("mean", name) for name in STUDENTS)
        return (
            Role("model_a", predicts=first),
            Role("model_b", predicts=second, backbone="vnet"),
            Role("teacher", trained=False, predicts=False, initialized_like="model_a"),
        )

    def stages(self) -> tuple[Stage, ...]:
        """Return BCP's stages, of which the second keeps the optimizers."""
        pretrain, self_train = super().stages()
        return pretrain, replace(self_train, reset="none")

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield each network's loss of the mixes, and in the second stage of the voxels where the two disagree."""
        mixes = self.mixes(batch, step)
        logits = {name: self.run(name, mixes.image) for name in STUDENTS}
        disagree = disagreement(*logits.values())
        for name in STUDENTS:
            yield self._losses(name, logits.pop(name), disagree, mixes)

    def _losses(self, name: str, logits: Tensor, disagree: Tensor, mixes: Mixes) -> Losses:
        o, terms = self.options, self.region_losses(logits, mixes)
        if mixes.pseudo_label is None:
            return Losses(terms, name)
        is_labeled = mixes.label != IGNORE
        target = torch.where(is_labeled, mixes.label, mixes.pseudo_label)
        where, weights = disagree & (target != IGNORE), torch.where(is_labeled, 1.0, o.weight)
        directions = list(zip(*(one.chunk(2) for one in (logits, target, weights, where)), strict=True))
        mse = torch.stack([squared_distance(*one) for one in directions]).sum()
        kl = torch.stack([distance_from_uniform(*one) for one in directions]).sum()
        terms["mse"] = o.mse_weight * Term.of_whole_batch(mse)
        terms["kl"] = o.kl_weight * Term.of_whole_batch(kl)
        # The log adds up what both networks report.
        log = {"disagree": Term.of_whole_batch(where.float().mean())} if name == STUDENTS[0] else {}
        return Losses(terms, name, log)


def disagreement(first: Tensor, second: Tensor) -> Tensor:
    """Return where the argmax of two networks' logits (n, K, \\*spatial) differ: (n, \\*spatial) bool."""
    return first.argmax(dim=1) != second.argmax(dim=1)


def squared_distance(logits: Tensor, target: Tensor, weights: Tensor, where: Tensor) -> Tensor:
    """Return the mean over a mask of the weighted squared differences between probabilities and one-hot labels.

    Args:
        logits: (n, K, \\*spatial) float.
        target: (n, \\*spatial) int64 class indices; any value outside of the mask.
        weights: (n, \\*spatial) float factors, which the number of voxels does not contain.
        where: (n, \\*spatial) bool, the mask.

    Returns:
        A scalar, averaged over classes; 0 for an empty mask.
    """
    classes = torch.arange(logits.shape[1], device=logits.device).reshape(-1, *[1] * (logits.dim() - 2))
    difference = logits.softmax(dim=1) - (target[:, None] == classes).to(logits.dtype)
    return _mean_in(difference.square().mean(dim=1) * weights, where)


def distance_from_uniform(logits: Tensor, target: Tensor, weights: Tensor, where: Tensor) -> Tensor:
    """Return the mean of the weighted -log p, averaged over classes, where the argmax is not the label.

    Up to a constant, it is the divergence of the prediction from the uniform distribution. Arguments as for
    ``squared_distance``; a scalar, 0 if there is no such voxel.
    """
    wrong = where & (logits.argmax(dim=1) != target)
    return _mean_in(-logits.log_softmax(dim=1).mean(dim=1) * weights, wrong)


def _mean_in(values: Tensor, where: Tensor) -> Tensor:
    return torch.where(where, values, 0).sum() / where.sum().clamp_min(1)
