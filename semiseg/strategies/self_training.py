"""Self-training: a network labels the unlabeled cases, and a new network trains on all cases."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.losses import Losses, Term
from semiseg.interfaces.roles import Role
from semiseg.interfaces.strategy import BatchNeeds, Stage, Strategy
from semiseg.strategy_parts.deep_supervision import DeepSupervisionOptions, deeply_supervised
from semiseg.strategy_parts.streams import supervised_loss
from semiseg.strategy_parts.views import strong_view


class SelfTrainingOptions(DeepSupervisionOptions):
    """Options of self-training; the defaults are plain ST."""

    newer: ClassVar[frozenset[str]] = DeepSupervisionOptions.newer | {"teacher"}

    teacher: Literal["own", "external"] = "own"
    """own: a network trained here labels the unlabeled cases. external: another model has labeled them, and its label
    maps are in ``dataset.pseudo_labels``; the student trains on them from the first step."""
    teacher_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Fraction of training for the teacher; the other stages share the rest equally."""
    reliable_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Fraction of the unlabeled cases to train on first, the most stable ones; 1 is ST, 0.5 is ST++."""
    snapshots: Annotated[int, Field(ge=1)] = 2
    """Number of earlier teacher states used to rank cases by stability; the paper uses 2 besides the last."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the pseudo-label loss (the papers: 1)."""
    pseudo_loss: Literal["dice", "cross_entropy", "dice_ce"] = "cross_entropy"
    """Loss against pseudo-labels."""
    strength: Annotated[float, Field(ge=0)] = 1.0
    """Strength of the strong view's intensity changes; 0 for none."""
    cut_out: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Longest side of the strong view's cut-out box, as a fraction of the patch's; 0 for no box."""

    @model_validator(mode="after")
    def _no_teacher_without_use(self) -> Self:
        defaults = type(self).model_fields
        names = ("teacher_share", "reliable_share", "snapshots")
        changed = [name for name in names if getattr(self, name) != defaults[name].default]
        if self.teacher == "external" and changed:
            raise ValueError(f"with teacher: external, no teacher is trained: leave out {', '.join(changed)}")
        return self


class SelfTraining(Strategy[SelfTrainingOptions]):
    """Self-training in stages: a teacher labels the unlabeled cases once, and a new network trains on all cases.

    ST of Yang et al. 2022, "ST++: Make Self-training Work Better for Semi-supervised Semantic Segmentation"
    (arXiv:2106.05095), section 3.1, after Lee 2013: the teacher's argmax of each whole unlabeled case is stored once,
    and a newly initialized student trains on labels and pseudo-labels alike, with unlabeled samples in a strong view.
    ST++ (section 3.2) is ``reliable_share=0.5``: it first labels and trains on the half of the unlabeled cases whose
    predictions changed least over the teacher's training (the mean IoU of earlier snapshots with the last one, as in
    its public code, LiheYoung/ST-PlusPlus, main.py), then labels all of them with the resulting network, and trains
    again from scratch. There each training has the full budget; here the stages share it. That code shuffles labeled
    and pseudo-labeled samples into one batch with one mean of the cross entropy (``loss=cross_entropy``), which with as
    many of both is half of the loss here, and otherwise weights the two by their numbers; and it ignores the
    pseudo-labels in the cut-out box.
    The teacher's steps use no unlabeled samples, so that all samples drawn for them are labeled, as there
    (``training.batch_size.fill``).

    With ``teacher=external`` there is one stage, the student's, and the pseudo-labels are those of another model
    (``dataset.pseudo_labels``). Voxels that they ignore, by their confidence for example, count in no loss.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"weight": 0.5}}
    no_regions: ClassVar[str] = ""

    @classmethod
    def roles(cls, options: SelfTrainingOptions) -> tuple[Role, ...]:
        """Return one network, called model: first the teacher, then each student."""
        return (deeply_supervised(Role("model"), options),)

    @classmethod
    def batch_needs(cls, options: SelfTrainingOptions) -> BatchNeeds:
        """Ask for the label maps of another model if that is the teacher."""
        return replace(cls.needs, external_pseudo=options.teacher == "external")

    def stages(self) -> tuple[Stage, ...]:
        """Return teacher and student; for ST++, a student of the reliable cases comes between them."""
        o = self.options
        if o.teacher == "external":
            return (Stage("student"),)
        if o.reliable_share == 1:
            teacher = Stage("teacher", o.teacher_share, unlabeled=False)
            return teacher, Stage("student", 1 - o.teacher_share, reset="all", pseudo_labels=True)
        rest = (1 - o.teacher_share) / 2
        return (
            Stage("teacher", o.teacher_share, snapshots=o.snapshots, unlabeled=False),
            Stage("reliable", rest, reset="all", pseudo_labels=True, reliable=o.reliable_share),
            Stage("student", rest, reset="all", pseudo_labels=True),
        )

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Yield the supervised loss, plus, if there are pseudo-labels, the loss of strong views against them."""
        o, unlabeled = self.options, batch.unlabeled
        if unlabeled.pseudo is None:
            images = batch.labeled.image if len(batch.labeled) else unlabeled.image  # never an empty batch
            outputs = self.outputs("model", images)
            logits = outputs.logits[: len(batch.labeled)]
            supervised = supervised_loss(logits, batch, o.loss, self.coding, outputs.scales)
            yield Losses({"supervised": supervised}, "model")
            return
        strong = strong_view(unlabeled.image, unlabeled.slots, step, "self_training", o.strength, o.cut_out)
        outputs = self.outputs("model", torch.cat([batch.labeled.image, strong]))
        on_labeled, on_strong = batch.divide(outputs.logits)
        supervised = supervised_loss(on_labeled, batch, o.loss, self.coding, outputs.scales)
        against = self.coding.loss(on_strong, unlabeled.pseudo, o.pseudo_loss, unlabeled.has_ignored)
        pseudo = Term(against, unlabeled)
        yield Losses({"supervised": supervised, "pseudo": o.weight * pseudo}, "model")
