"""Strategies whose networks train on each other's pseudo-labels, in named parts that the engine can reorder."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from semiseg.interfaces.batch import Batch, Step
from semiseg.interfaces.losses import Losses
from semiseg.interfaces.roles import Role
from semiseg.interfaces.split import Outputs
from semiseg.interfaces.strategy import OptionsT, Strategy


class CoTraining(Strategy[OptionsT]):
    """Two or more networks, all trained, each on pseudo-labels from the others.

    Four methods (``student_images``, ``teacher_images``, ``pseudo_label``, ``loss``) define the joint step here and the
    engine's other step modes, with identical gradients. Pseudo-labels carry no gradient, so each network's loss affects
    only that network. The engine calls a method as often as a mode requires, so its result must depend only on its
    arguments. In ``split``, a process has the other networks' pseudo-labels but not their current weights: a strategy
    whose ``after_step`` reads networks removes ``split`` from ``exact``.
    """

    exact: ClassVar[frozenset[str]] = frozenset({"alternating", "split"})

    @classmethod
    def roles(cls, options: OptionsT) -> tuple[Role, ...]:
        """Return two students with different initial weights; both predict."""
        return (Role("student_a"), Role("student_b"))

    def student_images(self, batch: Batch, step: Step) -> Tensor:
        """Return the images that every network is trained on: (n, C, \\*spatial); labeled first by default."""
        return batch.images()

    def teacher_images(self, batch: Batch, student_images: Tensor, step: Step) -> Tensor:
        """Return the images to pseudo-label; returning ``student_images`` itself reuses their forward pass."""
        return student_images

    def student_output(self, role: str, images: Tensor) -> Any:
        """Run a network on student images: its logits, or all of its ``outputs`` if ``loss`` takes more than logits."""
        return self.run(role, images)

    @abstractmethod
    def pseudo_label(self, role: str, output: Tensor, batch: Batch) -> Any:
        """Return the pseudo-label from this network's logits (n, K, \\*spatial); called without gradient.

        It is a tensor, or tensors in lists, tuples, mappings or dataclasses, since processes exchange it.
        """

    @abstractmethod
    def loss(self, role: str, output: Tensor, pseudo_labels: Mapping[str, Any], batch: Batch, step: Step) -> Losses:
        """Return a network's loss from its logits (n, K, \\*spatial) and the other networks' pseudo-labels, by role.

        ``output`` is what ``student_output`` returned.
        """

    def uses_pseudo_labels(self, step: Step) -> bool:
        """Return whether this step uses pseudo-labels (not during a wait period)."""
        return True

    def uses_unlabeled(self, step: Step) -> bool:
        """Return whether pseudo-labels are used; override it if another loss takes unlabeled samples before."""
        return super().uses_unlabeled(step) and self.uses_pseudo_labels(step)

    def losses(self, batch: Batch, step: Step) -> Iterator[Losses]:
        """Run the joint step: all forward passes, all pseudo-labels, then one loss per network.

        Forward passes on separate teacher images come before those on student images, as in every step mode.
        """
        needed = self.uses_pseudo_labels(step)
        students = self.student_images(batch, step)
        teachers = self.teacher_images(batch, students, step) if needed else students
        labels: dict[str, Any] = {}
        if teachers is not students:
            seen = ((name, self.forward_no_grad(name, teachers)) for name in self.networks)
            labels = {name: self.detached_pseudo_label(name, output, batch) for name, output in seen}
        outputs = {name: self.student_output(name, students) for name in self.networks}
        if needed and teachers is students:
            labels = {name: self.detached_pseudo_label(name, output, batch) for name, output in outputs.items()}
        for name in tuple(outputs):
            yield self.loss(name, outputs.pop(name), of_peers(labels, name), batch, step)

    def detached_pseudo_label(self, role: str, output: Tensor | Outputs, batch: Batch) -> Any:
        """Call ``pseudo_label`` with the logits of an output, without gradient."""
        logits = output.logits if isinstance(output, Outputs) else output
        with torch.no_grad():
            return self.pseudo_label(role, logits.detach(), batch)

    def forward_no_grad(self, role: str, images: Tensor) -> Tensor:
        """Call ``run`` without gradient."""
        with torch.no_grad():
            return self.run(role, images)


def of_peers(pseudo_labels: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Return the pseudo-labels that a role is trained on: all but its own."""
    return {other: label for other, label in pseudo_labels.items() if other != role}
