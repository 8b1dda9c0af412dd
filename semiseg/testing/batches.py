"""Batches of noise, for tests of strategies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from semiseg.interfaces.batch import Batch, LabeledStream, UnlabeledStream
from semiseg.interfaces.strategy import Target
from semiseg.types import Shape, Task

CLASSES = 3
SIZE = (8, 8, 8)
TASK = Task(2, tuple(f"class {index}" for index in range(CLASSES)), SIZE)
TASKS: Mapping[int, Task] = {2: replace(TASK, patch_size=(16, 8)), 3: TASK}
"""The task of the tests by number of spatial axes."""


def make_batch(
    labeled: int = 2,
    unlabeled: int = 2,
    seed: int = 0,
    targets: Sequence[Target] = (),
    pseudo: bool = False,
    size: Shape = SIZE,
) -> Batch:
    """Return a batch of noise with random labels, targets computed from them and, on request, pseudo-labels.

    The last class is absent from every second label, and rare, a single voxel, in the others.
    """
    generator = torch.Generator().manual_seed(seed)
    total = labeled + unlabeled
    images = torch.randn((total, 2, *size), generator=generator)
    drawn = torch.randint(0, CLASSES, (total, *size), generator=generator)
    rare = CLASSES - 1
    drawn[drawn == rare] = 0
    for label in drawn[::2]:
        label[tuple(side // 2 for side in size)] = rare
    made = {target.name: target.make(drawn[:labeled], CLASSES) for target in targets}
    slots, cases = tuple(range(total)), tuple(f"case{i}" for i in range(total))
    return Batch(
        LabeledStream(images[:labeled], labeled, slots[:labeled], cases[:labeled], drawn[:labeled], made),
        UnlabeledStream(
            images[labeled:], unlabeled, slots[labeled:], cases[labeled:], drawn[labeled:] if pseudo else None
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Poisoned(UnlabeledStream):
    """Unlabeled samples with forbidden content: a label and targets."""

    label: Tensor | None = None
    targets: Mapping[str, Tensor] = field(default_factory=dict)


def poisoned(batch: Batch, targets: Sequence[Target]) -> Batch:
    """Return the batch with wrong labels and targets in its unlabeled stream."""
    stream = batch.unlabeled
    values: dict[str, Any] = {entry.name: getattr(stream, entry.name) for entry in fields(stream)}
    labels = torch.full((len(stream), *stream.image.shape[2:]), CLASSES - 1)
    made = {target.name: target.make(labels, CLASSES) for target in targets}
    return replace(batch, unlabeled=_Poisoned(**values, label=labels, targets=made))


def in_double(batch: Batch) -> Batch:
    """Return the batch in float64."""
    return batch.apply(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


def copied(batch: Batch) -> Batch:
    """Return a copy of the batch, including its tensors."""
    return batch.apply(torch.clone)


def differing(one: Batch, other: Batch) -> list[str]:
    """Return the names of tensors that differ between two batches, such as "labeled.image"."""
    ours, theirs = dict(_tensors(one)), dict(_tensors(other))
    both = ours.keys() & theirs.keys()
    return [name for name in ours | theirs if name not in both or not torch.equal(ours[name], theirs[name])]


def _tensors(batch: Batch) -> Iterator[tuple[str, Tensor]]:
    labeled, unlabeled = batch.labeled, batch.unlabeled
    yield from (("labeled.image", labeled.image), ("labeled.label", labeled.label))
    yield from ((f"labeled.targets[{name!r}]", target) for name, target in labeled.targets.items())
    yield "unlabeled.image", unlabeled.image
    if unlabeled.pseudo is not None:
        yield "unlabeled.pseudo", unlabeled.pseudo
