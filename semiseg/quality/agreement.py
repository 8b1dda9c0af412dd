"""The agreement of a prediction: the Dice that its probabilities expect of their own decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from semiseg.codings.coding import Coding
from semiseg.inference.windows import Part
from semiseg.types import Task


@dataclass(frozen=True, slots=True)
class Structure:
    """A class or region with an expected Dice.

    Attributes:
        name: its name.
        kind: a class, or a region made of several.
        outputs: the outputs whose probabilities sum to its own.
        classes: the class indices that it consists of.
    """

    name: str
    kind: Literal["class", "region"]
    outputs: tuple[int, ...]
    classes: tuple[int, ...]


def structures_of(task: Task, regions: Mapping[str, Sequence[str]]) -> tuple[Structure, ...]:
    """Return the foreground classes and the scored ``regions`` (names of their classes) of a task of classes.

    Of networks whose outputs are regions, only these have probabilities, and are returned.
    """
    if task.regions:
        return tuple(Structure(name, "region", (i,), tuple(c)) for i, (name, c) in enumerate(task.regions.items()))
    found = [Structure(name, "class", (i,), (i,)) for i, name in enumerate(task.classes) if i]
    for name, members in regions.items():
        indices = tuple(task.classes.index(member) for member in members)
        found.append(Structure(name, "region", indices, indices))
    return tuple(found)


class Agreement:
    """Sums up the agreement of each structure of one image, from its probabilities piece by piece.

    With p the probabilities of a structure and d the voxels that they decide to be in it, it is 2 sum(p d) / (sum p +
    sum d): 1 for sure predictions, and the expected Dice, nearly, if the voxels are as often in the structure as p says
    and do so independently. Connected components that postprocessing removes count.
    """

    def __init__(self, structures: Sequence[Structure], coding: Coding) -> None:
        self._structures, self._coding = structures, coding
        self._sums = torch.zeros((len(structures), 3), dtype=torch.float64)

    def receive(self, _: Part, probabilities: Tensor) -> None:
        """Add a piece of the image: probabilities (K, x, y, z)."""
        labels = self._coding.decide(probabilities)
        for number, structure in enumerate(self._structures):
            own = probabilities[structure.outputs[0]]
            for output in structure.outputs[1:]:
                own = own + probabilities[output]
            decided = labels == structure.classes[0]
            for index in structure.classes[1:]:
                decided |= labels == index
            sums = [(own * decided).double().sum(), own.double().sum(), decided.double().sum()]
            self._sums[number] += torch.stack(sums)

    def values(self) -> dict[str, float | None]:
        """Return the agreement by structure; None of a structure that no voxel is decided to be in."""
        return {
            structure.name: 2 * both / (expected + decided) if decided else None
            for structure, (both, expected, decided) in zip(self._structures, self._sums.tolist(), strict=True)
        }
