"""Shared base of this package's methods: a student, its averaged teacher, and the noise on the teacher's images."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from semiseg.plugin import (
    Batch,
    BufferPolicy,
    Decay,
    Losses,
    LossOptions,
    RampName,
    RampShare,
    Role,
    Step,
    Strategy,
    TeacherMode,
    Term,
    WeakViewOptions,
    decay_at,
    has_statistics,
    statistics_problem,
    teaching,
    update_teacher,
    weight_at,
)


class AveragedOptions(WeakViewOptions, LossOptions):
    """Options shared by all methods with an averaged teacher."""

    weight: Annotated[float, Field(ge=0)] = 2.0
    """Weight of the consistency, after the ramp-up. With the public code's 0.1 its gradient is less than a hundredth of
    the supervised one."""
    ramp: RampName = "sigmoid"
    """Shape of the weight's rise."""
    ramp_share: RampShare = "auto"
    """Length of the ramp-up, as a fraction of training; auto: steps / 30 000, from 0.4 to 1 (the public
    code: 1)."""
    decay: Decay = "auto"
    """Decay of the teacher's average, after its warm-up: min(1 - 1 / (t + 1), decay) at step t. auto: 1 - 60 / steps,
    from 0.85 to 0.99 (the public code: 0.99, in trainings of 6000 steps and more)."""
    buffers: BufferPolicy = "own"
    """Running statistics of the teacher: its own, a copy of the student's, or averaged (ema)."""
    teacher_mode: TeacherMode = "train"
    """The teacher during training: with dropout and batch statistics (train), or as in prediction (eval)."""
    predicts: Literal["teacher", "student"] = "teacher"
    """The network that predicts."""

    @model_validator(mode="after")
    def _statistics(self) -> Self:
        if text := statistics_problem(self.teacher_mode, self.buffers):
            raise ValueError(text)
        return self


OptionsT = TypeVar("OptionsT", bound=AveragedOptions)


class AveragedTeacher(Strategy[OptionsT]):
    """A trained student and a teacher that is its exponential moving average."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"weight": 0.2, "ramp_share": 1.0, "decay": 0.99, "predicts": "student"}
    }
    no_regions: ClassVar[str] = ""

    @classmethod
    def roles(cls, options: OptionsT) -> tuple[Role, ...]:
        """Return the student, and the teacher, which starts as its copy."""
        by_teacher = options.predicts == "teacher"
        return (
            Role("student", predicts=not by_teacher),
            Role("teacher", trained=False, predicts=by_teacher, initialized_like="student"),
        )

    def teach(self, images: Tensor) -> Tensor:
        """Return the teacher's probabilities (n, K, \\*spatial) without gradient, in the mode of the options; n > 0."""
        with torch.no_grad(), teaching(self.networks["teacher"], self.options.teacher_mode):
            return self.probabilities(self.run("teacher", images))

    def gather_statistics(self, batch: Batch) -> None:
        """Run the teacher on the labeled images if a step has no unlabeled samples.

        Otherwise its own running statistics would keep their initial values, and predictions with them would be wrong.
        """
        own = self.options.buffers == "own" and has_statistics(self.networks["teacher"])
        if batch.unlabeled.count == 0 and own:
            self.teach(batch.labeled.image)

    def weighted(self, supervised: Term, consistency: Term, step: Step, **log: Term) -> Losses:
        """Return the student's loss: the supervised one plus the consistency with its weight at this step."""
        terms = {"supervised": supervised, "consistency": weight_at(self.options, step) * consistency}
        return Losses(terms, "student", log)

    def after_step(self, step: Step) -> None:
        """Move the teacher toward the student."""
        decay = decay_at(step, self.options.decay)
        update_teacher(self.networks["teacher"], self.networks["student"], decay, self.options.buffers)


def with_noise(images: Tensor, slots: Sequence[int], step: Step, name: str, std: float, limit: float) -> Tensor:
    """Return images plus normal noise clipped at a limit; a sample's noise depends only on its slot within the step.

    Args:
        images: (n, C, \\*spatial) float on any device; not modified.
        slots: slots of the samples in the step.
        step: position in training.
        name: name of the random draw.
        std: standard deviation; 0 means no noise.
        limit: largest absolute value of the noise.
    """
    if std == 0 or not len(images):
        return images
    noise = torch.empty_like(images)
    for sample, slot in zip(noise, slots, strict=True):
        generator = step.generator(slot, name, images.device)
        sample.normal_(0, std, generator=generator)
    return images + noise.clamp_(-limit, limit)
