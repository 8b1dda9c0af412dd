"""Strategies whose networks teach one another, in named pieces that the engine can reorder."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.strategy import Losses, Strategy


class Mutual(Strategy):
    """Two or more networks, each trained on lessons that the others give.

    From four pieces (``student_images``, ``teacher_images``, ``teach``, ``loss``) follow the joint step here and the
    engine's other step modes, with the same gradients. Lessons carry no gradient, so each network's loss touches
    that network alone.
    """

    exact: ClassVar[frozenset[str]] = frozenset({"joint", "alternating", "split", "micro_batch"})

    def student_images(self, batch: Batch) -> Tensor:
        """What every network learns on: (n, C, X, Y, Z); labeled first by default."""
        return batch.images()

    def teacher_images(self, batch: Batch, student_images: Tensor) -> Tensor:
        """What lessons are made from. The very same object means: from the students' own forward."""
        return student_images

    @abstractmethod
    def teach(self, role: str, output: Tensor, batch: Batch) -> Any:
        """What this network's logits (n, K, X, Y, Z) tell the others; called without gradient."""

    @abstractmethod
    def loss(self, role: str, output: Tensor, lessons: Mapping[str, Any], batch: Batch, step: Step) -> Losses:
        """One network's loss, from its logits (n, K, X, Y, Z) and the lessons of the others, by role."""

    def lessons_needed(self, step: Step) -> bool:
        """Whether the networks teach one another at this step (not during a wait period)."""
        return True

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """The joint step: all forwards, all lessons, then one loss a network."""
        students = self.student_images(batch)
        outputs = {name: self.run(name, students) for name in self.networks}
        lessons: dict[str, Any] = {}
        if self.lessons_needed(step):
            teachers = self.teacher_images(batch, students)
            with torch.no_grad():
                for name in self.networks:
                    view = outputs[name] if teachers is students else self.run(name, teachers)
                    lessons[name] = self.teach(name, view.detach(), batch)
        for name in tuple(outputs):
            others = {other: lesson for other, lesson in lessons.items() if other != name}
            yield self.loss(name, outputs.pop(name), others, batch, step)
