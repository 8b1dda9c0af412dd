"""The inputs of a strategy at each step: two streams, and the position in training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from semiseg.seeding import derive_seed
from semiseg.types import IGNORE


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Samples of a step, or a subset of them.

    Attributes:
        image: (b, C, \\*spatial) float32, with two or three spatial axes; b may be 0 in a micro-batch or on a rank.
        count: size of this stream in the whole step, over all micro-batches and ranks. A loss is the sum over the
            samples here divided by ``count``; partial results are then added, never averaged.
        slots: the samples' numbers in the step, for ``Step.generator``.
        cases: the samples' case ids, for messages.
    """

    image: Tensor
    count: int
    slots: tuple[int, ...]
    cases: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.slots)


@dataclass(frozen=True, slots=True, eq=False)
class UnlabeledStream(Stream):
    """Samples without labels.

    Attributes:
        pseudo: (b, \\*spatial) int64 class indices, transformed with the image by its augmentation: predictions of the
            whole cases, by the networks of the previous stage (``Stage.pseudo_labels``) or by another model
            (``BatchNeeds.external_pseudo``). None for a strategy or a stage that asks for neither.
        has_ignored: whether ``pseudo`` may contain IGNORE, at voxels that count in no loss against it; only that of
            another model.
    """

    pseudo: Tensor | None = None
    has_ignored: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LabeledStream(Stream):
    """Samples with labels.

    Attributes:
        label: (b, \\*spatial) int64 class indices, or IGNORE at voxels that count in no loss.
        targets: the additional targets that the strategy requests (``BatchNeeds.targets``), each (b, C, \\*spatial)
            float32.
        has_ignored: whether labels may contain IGNORE.
    """

    label: Tensor
    targets: Mapping[str, Tensor] = field(default_factory=dict)
    has_ignored: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One step's samples, or a subset of them."""

    labeled: LabeledStream
    unlabeled: UnlabeledStream

    @classmethod
    def of(cls, images: Tensor, labels: Tensor, unlabeled: Tensor | None = None) -> "Batch":
        """Return a whole step's batch, for training loops other than semiseg's.

        Args:
            images: the labeled samples, (b, C, \\*spatial) float32.
            labels: their classes, (b, \\*spatial) int64, or IGNORE at voxels that count in no loss.
            unlabeled: the unlabeled samples, (u, C, \\*spatial) float32; by default none.
        """
        others = images[:0] if unlabeled is None else unlabeled
        n, m = len(images), len(others)
        ids = tuple(f"sample {slot}" for slot in range(n + m))
        has_ignored = bool((labels == IGNORE).any())
        return cls(
            LabeledStream(images, n, tuple(range(n)), ids[:n], labels, has_ignored=has_ignored),
            UnlabeledStream(others, m, tuple(range(n, n + m)), ids[n:]),
        )

    def images(self) -> Tensor:
        """Return all images, labeled first: (n_labeled + n_unlabeled, C, \\*spatial)."""
        return torch.cat([self.labeled.image, self.unlabeled.image])

    def divide(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Split values for all samples, in the order of ``images()``, into labeled and unlabeled."""
        labeled, unlabeled = values.split([len(self.labeled), len(self.unlabeled)])
        return labeled, unlabeled

    def apply(self, move: Callable[[Tensor], Tensor]) -> "Batch":
        """Return the batch with ``move`` applied to every tensor, for example to move it to a device."""
        l, u = self.labeled, self.unlabeled  # noqa: E741
        targets = {name: move(target) for name, target in l.targets.items()}
        return Batch(
            replace(l, image=move(l.image), label=move(l.label), targets=targets),
            replace(u, image=move(u.image), pseudo=None if u.pseudo is None else move(u.pseudo)),
        )

    def part(self, labeled: slice, unlabeled: slice) -> "Batch":
        """Return some samples of each stream, as views, with the counts of the whole step."""
        l, u = self.labeled, self.unlabeled  # noqa: E741
        targets = {name: target[labeled] for name, target in l.targets.items()}
        pseudo = None if u.pseudo is None else u.pseudo[unlabeled]
        return Batch(
            LabeledStream(
                l.image[labeled], l.count, l.slots[labeled], l.cases[labeled], l.label[labeled], targets, l.has_ignored
            ),
            UnlabeledStream(u.image[unlabeled], u.count, u.slots[unlabeled], u.cases[unlabeled], pseudo, u.has_ignored),
        )


@dataclass(frozen=True, slots=True)
class Step:
    """The position of a step in training. Schedules use it instead of counters of their own.

    Attributes:
        index: index of the step in the whole training, from 0.
        total: number of steps in the whole training.
        epoch_length: number of steps in an epoch.
        stage: name of the stage.
        stage_index: index of the step in its stage, from 0.
        stage_total: number of steps in the stage.
        seed: the run's seed.
    """

    index: int
    total: int
    epoch_length: int
    stage: str = "train"
    stage_index: int = 0
    stage_total: int = 0
    seed: int = 0

    @classmethod
    def of(cls, index: int, total: int, epoch_length: int | None = None, seed: int = 0) -> "Step":
        """Return the step of a training with a single stage, for training loops other than semiseg's.

        ``epoch_length``: the number of steps in an epoch; by default all are one epoch.
        """
        return cls(index, total, epoch_length or total, stage_index=index, stage_total=total, seed=seed)

    @property
    def epoch(self) -> int:
        """Index of the epoch, from 0."""
        return self.index // self.epoch_length

    @property
    def progress(self) -> float:
        """Fraction of the stage completed before this step, in [0, 1)."""
        return self.stage_index / max(self.stage_total, 1)

    def generator(self, slot: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
        """Return a generator for a strategy's own noise on one sample; it depends only on (seed, step, slot, name)."""
        generator = torch.Generator(device)
        return generator.manual_seed(derive_seed(self.seed, name, self.index, slot))
