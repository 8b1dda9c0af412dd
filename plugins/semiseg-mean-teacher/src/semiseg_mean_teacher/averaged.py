"""What the methods of this package share: a student, its averaged teacher, and how the teacher looks at images."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from semiseg.plugin import (
    Batch,
    BufferPolicy,
    RampName,
    Role,
    Step,
    Strategy,
    StrategyOptions,
    TeacherMode,
    has_statistics,
    ramp,
    teaching,
    update_teacher,
    warmed_decay,
)


class AveragedOptions(StrategyOptions):
    """Options that all methods with an averaged teacher have."""

    weight: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the consistency, after the ramp-up."""
    ramp: RampName = "sigmoid"
    """How the weight rises."""
    ramp_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of training that the rise takes."""
    decay: Annotated[float, Field(ge=0, le=1)] = 0.99
    """Decay of the teacher's average, after its warm-up: min(1 - 1 / (t + 1), decay) at step t."""
    buffers: BufferPolicy = "own"
    """Running statistics of the teacher: own, copied from the student's, or averaged (ema)."""
    teacher_mode: TeacherMode = "train"
    """The teacher in training: with dropout and statistics of the batch (train), or as it predicts (eval)."""
    predicts: Literal["teacher", "student"] = "teacher"
    """The network that predicts."""
    loss: Literal["dice", "dice_ce"] = "dice"
    """Supervised loss: dice, or the sum of Dice and cross entropy."""

    @model_validator(mode="after")
    def _statistics(self) -> Self:
        if self.teacher_mode == "eval" and self.buffers == "own":
            raise ValueError("a teacher in eval mode gathers no statistics of its own: set buffers to copy or ema")
        return self


class AveragedTeacher(Strategy):
    """A student that is trained, and a teacher that is its exponential moving average."""

    @classmethod
    def roles(cls, options: Any) -> tuple[Role, ...]:
        """The student, and the teacher, which begins as its copy."""
        by_teacher = options.predicts == "teacher"
        return (
            Role("student", predicts=not by_teacher),
            Role("teacher", trained=False, predicts=by_teacher, initialized_like="student"),
        )

    def teach(self, images: Tensor) -> Tensor:
        """The teacher's probabilities, (n, K, X, Y, Z), without gradient, in the mode that the options say; n > 0."""
        with torch.no_grad(), teaching(self.networks["teacher"], self.options.teacher_mode):
            return self.probabilities(self.run("teacher", images))

    def gather_statistics(self, batch: Batch) -> None:
        """In a step without unlabeled samples, where nothing is to be taught: show the teacher the labeled images.

        Running statistics of its own would stay as they began, and what it predicts with them would be wrong.
        """
        own = self.options.buffers == "own" and has_statistics(self.networks["teacher"])
        if batch.unlabeled.count == 0 and own:
            self.teach(batch.labeled.image)

    def consistency_weight(self, step: Step) -> float:
        """The weight of the consistency at a step."""
        o = self.options
        return float(o.weight) * ramp(o.ramp, step.index / step.total, o.ramp_share)

    def after_step(self, step: Step) -> None:
        """Move the teacher toward the student."""
        decay = warmed_decay(step.index, self.options.decay)
        update_teacher(self.networks["teacher"], self.networks["student"], decay, self.options.buffers)


def with_noise(images: Tensor, slots: Sequence[int], step: Step, name: str, std: float, limit: float) -> Tensor:
    """Images plus normal noise of a standard deviation, cut off at a limit; a sample's noise is of its slot alone.

    Args:
        images: (n, C, X, Y, Z) float on any device; not written to.
        slots: the samples' numbers in the step.
        step: where in training.
        name: of the draw.
        std: 0 is no noise.
        limit: largest absolute value of the noise.
    """
    if std == 0 or not len(images):
        return images
    noise = torch.empty_like(images)
    for sample, slot in zip(noise, slots, strict=True):
        generator = step.generator(slot, name, images.device)
        sample.normal_(0, std, generator=generator)
    return images + noise.clamp_(-limit, limit)
