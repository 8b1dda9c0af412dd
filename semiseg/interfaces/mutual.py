"""Strategies whose networks teach one another, in named pieces that the engine can reorder."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.strategy import Losses, Strategy


class Mutual(Strategy):
    """Two or more networks, all trained, each on lessons that the others give.

    From four pieces (``student_images``, ``teacher_images``, ``teach``, ``loss``) follow the joint step here and the
    engine's other step modes, with the same gradients. Lessons carry no gradient, so each network's loss touches
    that network alone. The engine calls a piece as often as a mode asks for, so what it gives depends on its arguments
    alone. In ``split`` a process has the other networks' lessons but not their present weights: a strategy whose
    ``after_step`` reads networks takes it out of ``exact``.
    """

    exact: ClassVar[frozenset[str]] = frozenset({"joint", "alternating", "split", "micro_batch"})

    def student_images(self, batch: Batch, step: Step) -> Tensor:
        """What every network learns on: (n, C, X, Y, Z); labeled first by default."""
        return batch.images()

    def teacher_images(self, batch: Batch, student_images: Tensor, step: Step) -> Tensor:
        """What lessons are made from. The very same object means: from the students' own forward."""
        return student_images

    @abstractmethod
    def teach(self, role: str, output: Tensor, batch: Batch) -> Any:
        """What this network's logits (n, K, X, Y, Z) tell the others; called without gradient.

        A tensor, or tensors in lists, tuples, mappings or dataclasses: processes send it to one another.
        """

    @abstractmethod
    def loss(self, role: str, output: Tensor, lessons: Mapping[str, Any], batch: Batch, step: Step) -> Losses:
        """One network's loss, from its logits (n, K, X, Y, Z) and the lessons of the others, by role."""

    def lessons_needed(self, step: Step) -> bool:
        """Whether the networks teach one another at this step (not during a wait period)."""
        return True

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """The joint step: all forwards, all lessons, then one loss a network.

        Forwards on teacher images of their own come before those on student images, as in every step mode.
        """
        needed = self.lessons_needed(step)
        students = self.student_images(batch, step)
        teachers = self.teacher_images(batch, students, step) if needed else students
        lessons: dict[str, Any] = {}
        if teachers is not students:
            lessons = {name: self.lesson(name, self.look(name, teachers), batch) for name in self.networks}
        outputs = {name: self.run(name, students) for name in self.networks}
        if needed and teachers is students:
            lessons = {name: self.lesson(name, output, batch) for name, output in outputs.items()}
        for name in tuple(outputs):
            yield self.loss(name, outputs.pop(name), others(lessons, name), batch, step)

    def lesson(self, role: str, output: Tensor, batch: Batch) -> Any:
        """``teach`` without gradient."""
        with torch.no_grad():
            return self.teach(role, output.detach(), batch)

    def look(self, role: str, images: Tensor) -> Tensor:
        """``run`` without gradient."""
        with torch.no_grad():
            return self.run(role, images)


def others(lessons: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The lessons that a role learns from: all but its own."""
    return {other: lesson for other, lesson in lessons.items() if other != role}
