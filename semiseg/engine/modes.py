"""Step modes: in what order a step's forwards, lessons and losses come. Each is a generator of losses.

All modes have the gradients of the joint step on the whole batch (for what is exact, see ``engine.exactness``). F is a
forward and B a backward of one network on the whole batch, and there are two networks: joint takes 2F + 2B and both
networks' activations of a micro-batch; alternating 3F + 2B and one network's; split 1F + 1B and one network's in each
of two processes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.mutual import Mutual, others
from semiseg.interfaces.strategy import Losses, Strategy

ModeName = Literal["joint", "alternating", "split"]


@dataclass(frozen=True, slots=True)
class StepMode:
    """A mode and the number of samples in memory at once, on each process; None is all of them."""

    name: ModeName = "joint"
    micro_batch: int | None = None

    def __str__(self) -> str:
        part = "on the whole batch" if self.micro_batch is None else f"by micro-batches of {self.micro_batch}"
        return f"{self.name} {part}"


def joint(strategy: Strategy, parts: Sequence[Batch], step: Step) -> Iterator[Losses]:
    """The strategy's own losses, of one part after another."""
    for part in parts:
        yield from strategy.losses(part, step)


def alternating(
    strategy: Mutual, parts: Sequence[Batch], step: Step, rehearse: Callable[[str, Tensor], Tensor]
) -> Iterator[Losses]:
    """One network after another; each is updated, and its gradients are freed, before the next one's turn.

    Every lesson is taken before the first update: the first network's from its forward with gradient, the others'
    from ``rehearse`` (role, images), a forward without gradient that the one with gradient repeats exactly. Where
    lessons come from images of their own, no forward is added.
    """
    roles = list(strategy.networks)
    needed = strategy.lessons_needed(step)
    lessons = [_early_lessons(strategy, part, step, rehearse) if needed else {} for part in parts]
    for role in roles:
        for number, (part, given) in enumerate(zip(parts, lessons, strict=True), 1):
            output = strategy.run(role, strategy.student_images(part, step))
            if needed and role not in given:
                given[role] = strategy.lesson(role, output, part)
            losses = strategy.loss(role, output, others(given, role), part, step)
            del output  # its memory is for the next forward
            yield replace(losses, updates=frozenset({role}), step_now=number == len(parts))


def _early_lessons(
    strategy: Mutual, part: Batch, step: Step, rehearse: Callable[[str, Tensor], Tensor]
) -> dict[str, Any]:
    students = strategy.student_images(part, step)
    teachers = strategy.teacher_images(part, students, step)
    apart = teachers is not students
    roles, look = (list(strategy.networks), strategy.look) if apart else (list(strategy.networks)[1:], rehearse)
    return {role: strategy.lesson(role, look(role, teachers), part) for role in roles}


def split(
    strategy: Mutual, parts: Sequence[Batch], step: Step, own: str, exchange: Callable[[Any], Sequence[Any]]
) -> Iterator[Losses]:
    """One process's own network; ``exchange`` gives a lesson to the other processes, and all lessons back, by role."""
    needed = strategy.lessons_needed(step)
    for part in parts:
        students = strategy.student_images(part, step)
        teachers = strategy.teacher_images(part, students, step) if needed else students
        lesson = None
        if teachers is not students:
            lesson = strategy.lesson(own, strategy.look(own, teachers), part)
        output = strategy.run(own, students)
        if needed and teachers is students:
            lesson = strategy.lesson(own, output, part)
        lessons = dict(zip(strategy.networks, exchange(lesson), strict=True)) if needed else {}
        losses = strategy.loss(own, output, others(lessons, own), part, step)
        del output, students, teachers  # their memory is for the next part
        yield replace(losses, updates=frozenset({own}))
