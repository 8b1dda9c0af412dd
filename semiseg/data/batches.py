"""The batches of a training: two streams, the same whatever the number of workers and wherever training begins."""

from collections.abc import Iterator, Sequence
from contextlib import closing

import torch

from semiseg.data.packing import PackedBatch, pack
from semiseg.data.samples import Sampler
from semiseg.data.stored import StoredImage, StoredLabeled
from semiseg.data.workers import in_workers
from semiseg.interfaces.augmentation import Augmentation
from semiseg.interfaces.batch import Batch
from semiseg.recipe import schema
from semiseg.types import Shape


class TrainingBatches:
    """Batches of patches, each step's made from (seed, step, slot) alone.

    Slots are numbered over all devices, labeled ones first; a rank makes every ``world``-th of each stream, and a
    stream may be empty there. Counts are those of the whole step.
    """

    def __init__(
        self,
        labeled: Sequence[StoredLabeled],
        unlabeled: Sequence[StoredImage],
        augmentation: Augmentation,
        patch_size: Shape,
        batch_size: schema.BatchSize,
        seed: int,
        workers: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Raises ValueError where a stream is asked for and there are no cases to draw from."""
        for name, size, cases in (
            ("labeled", batch_size.labeled, labeled),
            ("unlabeled", batch_size.unlabeled, unlabeled),
        ):
            if size and not cases:
                raise ValueError(f"{size} {name} samples a step are asked for, and there are no {name} cases")
        self._sampler = Sampler(tuple(labeled), tuple(unlabeled), augmentation, patch_size, seed)
        self._counts = batch_size.labeled, batch_size.unlabeled
        self._channels = (*labeled, *unlabeled)[0].channels
        self._workers, self._rank, self._world = workers, rank, world

    def steps(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps ``start`` to ``stop - 1``; close the iterator to end its workers early.

        Raises:
            SemisegError: as it was raised where the sample was made. TrainingError: a worker was killed.
        """
        if self._workers == 0 or start >= stop:
            for step in range(start, stop):
                yield self.packed(step).unpack()
            return
        unpack = PackedBatch.unpack_pinned if torch.cuda.is_available() else PackedBatch.unpack
        with closing(in_workers(self.packed, unpack, range(start, stop), self._workers)) as batches:
            yield from batches

    def packed(self, step: int) -> PackedBatch:
        """This rank's part of a step's batch."""
        n_labeled, n_unlabeled = self._counts
        mine = slice(self._rank, None, self._world)
        labeled = [self._sampler.draw_labeled(step, slot) for slot in range(n_labeled)[mine]]
        unlabeled = [
            self._sampler.draw_unlabeled(step, slot) for slot in range(n_labeled, n_labeled + n_unlabeled)[mine]
        ]
        return pack(labeled, unlabeled, self._counts, (self._channels, *self._sampler.patch_size))
