"""AD-MT: two averaged teachers, updated in turn under two kinds of strong views, label for one student."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, takewhile
from random import Random
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from semiseg.plugin import (
    IGNORE,
    Batch,
    BatchNeeds,
    Decay,
    Losses,
    LossOptions,
    RampName,
    Role,
    Shape,
    Step,
    Strategy,
    StreamNeeds,
    Term,
    WeakView,
    WeakViewOptions,
    accepted_share,
    copy_paste_masks,
    decay_at,
    mixup_weights,
    paste,
    strong_view,
    supervised_loss,
    swapped,
    teaching,
    update_teacher,
    weight_at,
)

TEACHERS = ("teacher_a", "teacher_b")


class ADMTOptions(WeakViewOptions, LossOptions):
    """Options of AD-MT."""

    weight: Annotated[float, Field(ge=0)] = 4.0
    """Weight of the pseudo-label loss, after the ramp-up (the public code: 2 beside half the supervised loss)."""
    ramp: RampName = "sigmoid"
    """Shape of the weight's rise."""
    ramp_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Length of the ramp-up, as a fraction of training (the public code: 0.25 in 2D, 0.4 in 3D)."""
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Minimum probability of a pseudo-label; 0 accepts all (the public code: 0.95 in 2D, 0.8 in 3D)."""
    pseudo_loss: Literal["cross_entropy", "dice", "dice_ce"] = "dice"
    """Loss against pseudo-labels, over the accepted voxels (the public code: dice in 2D, cross_entropy in 3D)."""
    period: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Most steps after which the other teacher is updated; their number is drawn from 1 on. auto: half an epoch."""
    beta: Annotated[float, Field(gt=0)] = 4.0
    """The share of an image that the box of the other one takes has the distribution Beta(beta, beta)."""
    strength: Annotated[float, Field(ge=0)] = 1.0
    """Strength of the intensity changes of the first kind of strong view."""
    decay: Decay = "auto"
    """Decay of the teachers' averages, after their warm-up; auto: 1 - 60 / steps, from 0.85 to 0.99 (the public code:
    0.99)."""
    predicts: Literal["student", "teacher_a", "teacher_b"] = "student"
    """The network that predicts."""
    weak_view: WeakView = "geometry"
    """The weak view: the sample with the zooms, rotations and flips of the recipe's augmentation (geometry), or with
    its changes of intensities, too (recipe)."""


class ADMT(Strategy[ADMTOptions]):
    """AD-MT: two moving averages of one student, alternately updated, whose entropy-weighted mean labels strong views.

    Zhao et al. 2024, "Alternate Diverse Teaching for Semi-supervised Medical Image Segmentation" (arXiv:2311.17325,
    ECCV), as in its public code (ZhenZHAO/AD-MT at 03ef84c, train_post_2d_aut.py and train_post_3d_aut.py). In one
    state the strong view has changed intensities and the first teacher is updated; in the other it is a mix of two weak
    views (CutMix), and the second is. The state changes after a number of steps that is drawn between 1 and ``period``.
    A voxel's pseudo-label is the argmax of w p1 + (1 - w) p2, with w = exp(-H1) / (exp(-H1) + exp(-H2)) and H the
    entropy in bits. Where the teachers' classes differ and the student has a third opinion of which it is surer, its
    class is taken. The teacher to be updated runs in train mode and the other in eval mode; their running statistics
    are averaged as well.

    Differences: the student's opinion is asked before samples are mixed (the public code compares its classes of the
    unmixed image with mixed labels); boxes may lie anywhere, and their volume in 3D is that of the drawn share (there
    its power of 1.5); the partner of a mix is the other sample of a pair; the student's pass on the weak view has no
    gradient, and no loss needs one; means over accepted voxels are of each sample, unless ``training.dice.batch``; the
    averages' warm-up begins with the first step (there after twice 40 or 50). The public code selects the checkpoint on
    the test cases in 3D.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"period": 50, "decay": 0.99}}
    no_regions: ClassVar[str] = "it weighs its teachers by the entropy of classes that exclude each other"
    needs: ClassVar[BatchNeeds] = BatchNeeds(unlabeled=StreamNeeds(unit=2))

    @classmethod
    def roles(cls, options: ADMTOptions) -> tuple[Role, ...]:
        """Return the student and its two moving averages, which start as its copies."""
        teachers = [
            Role(name, trained=False, predicts=options.predicts == name, initialized_like="student")
            for name in TEACHERS
        ]
        return Role("student", predicts=options.predicts == "student"), *teachers

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss plus the weighted loss of one kind of strong view against the teachers' labels."""
        o, unlabeled = self.options, batch.unlabeled
        view, labels = self._strong(batch, step)
        labeled, on_view = batch.divide(self.run("student", torch.cat([batch.labeled.image, view])))
        supervised = supervised_loss(labeled, batch, o.loss, self.coding)
        pseudo = Term(self.coding.loss(on_view, labels, o.pseudo_loss, has_ignored=True), unlabeled)
        accepted = Term(accepted_share(labels), unlabeled)
        yield Losses(
            {"supervised": supervised, "pseudo": weight_at(o, step) * pseudo}, "student", {"accepted": accepted}
        )

    def updated(self, step: Step) -> str:
        """Return the teacher that is updated at a step."""
        period = self.options.period
        most = max(step.epoch_length // 2, 1) if period == "auto" else period
        changes = switches(step.seed, most, step.total)
        return TEACHERS[bisect_right(changes, step.index) % 2]

    @torch.no_grad()
    def _strong(self, batch: Batch, step: Step) -> tuple[Tensor, Tensor]:
        """Return the strong view of the unlabeled samples (n, C, \\*spatial) and its labels (n, \\*spatial)."""
        o, images, slots = self.options, batch.unlabeled.image, batch.unlabeled.slots
        if not len(images):  # a network need not support an empty batch
            return images, batch.labeled.label[:0]
        labels = self._labels(images, step)
        if self.updated(step) == TEACHERS[0]:
            return strong_view(images, slots, step, "ad_mt", o.strength), labels
        masks = _boxes(tuple(images.shape[2:]), slots, step, o.beta)
        return paste(swapped(images), images, masks), paste(swapped(labels), labels, masks)

    def _labels(self, images: Tensor, step: Step) -> Tensor:
        updated, taught = self.updated(step), []
        for name in TEACHERS:
            with teaching(self.networks[name], "train" if name == updated else "eval"):
                taught.append(self.probabilities(self.run(name, images)))
        sure, best = entropy_weighted(*taught).max(dim=1)
        own_sure, own = self.probabilities(self.run("student", images)).max(dim=1)
        unclear = (taught[0].argmax(dim=1) != taught[1].argmax(dim=1)) & (own != best) & (own_sure > sure)
        best, sure = torch.where(unclear, own, best), torch.where(unclear, own_sure, sure)
        return torch.where(sure >= self.options.threshold, best, IGNORE)

    def after_step(self, step: Step) -> None:
        """Move one teacher toward the student."""
        teacher = self.networks[self.updated(step)]
        update_teacher(teacher, self.networks["student"], decay_at(step, self.options.decay), buffers="ema")


@lru_cache(maxsize=4)
def switches(seed: int, most: int, total: int) -> tuple[int, ...]:
    """Return the steps at which the other teacher's turn begins, with turns of 1 to ``most`` steps."""
    draw = Random(f"ad_mt {seed}")
    turns = (draw.randint(1, most) for _ in range(total))
    return tuple(takewhile(lambda step: step < total, accumulate(turns)))


def entropy_weighted(first: Tensor, second: Tensor) -> Tensor:
    """Return w p1 + (1 - w) p2 of probabilities (n, K, \\*spatial), w = exp(-H1) / (exp(-H1) + exp(-H2)), H in bits."""
    entropies = [-(p * (p + 1e-10).log2()).sum(dim=1, keepdim=True) for p in (first, second)]
    weight = torch.softmax(-torch.cat(entropies, dim=1), dim=1)
    return weight[:, :1] * first + weight[:, 1:] * second


def _boxes(shape: Shape, slots: Sequence[int], step: Step, beta: float) -> Tensor:
    """Return a box for each sample, True inside, whose share of the image is drawn from Beta(beta, beta)."""
    shares = mixup_weights(slots, step, "ad_mt/share", beta).tolist()
    sides = [share ** (1 / len(shape)) for share in shares]
    boxes = [copy_paste_masks(shape, [slot], step, "ad_mt/box", side) for slot, side in zip(slots, sides, strict=True)]
    return torch.cat(boxes)
