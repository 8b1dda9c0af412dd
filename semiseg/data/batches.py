"""Training batches: two streams, independent of the number of workers and of where training starts."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from torch import Tensor

from semiseg.data.case_records import StoredImage, StoredLabeled
from semiseg.data.draws import Counts, Draws
from semiseg.data.foreground import Structure
from semiseg.data.packing import PackedBatch, for_losses, make_targets, pack
from semiseg.data.samples import Sampler, one_thread
from semiseg.data.workers import in_workers
from semiseg.interfaces.augmentation import Augmentation, BatchAugmentation
from semiseg.interfaces.batch import Batch, Stream
from semiseg.interfaces.strategy import BatchNeeds
from semiseg.types import Shape


class TrainingBatches:
    """Batches of patches, each determined by (seed, step, slot) alone.

    Slots are numbered over all devices, labeled ones first. A rank makes every ``world``-th group (``share_of``), and
    its part of a stream may be empty. Counts are those of the whole step.
    """

    def __init__(
        self,
        labeled: Sequence[StoredLabeled],
        unlabeled: Sequence[StoredImage],
        augmentation: Augmentation,
        patch_size: Shape,
        draws: Draws,
        seed: int,
        workers: int,
        rank: int = 0,
        world: int = 1,
        deferred: bool = False,
        needs: BatchNeeds = BatchNeeds(),  # noqa: B008 (frozen)
        n_classes: int = 0,
        pin: bool = False,
        has_ignored: bool = False,
        foreground_share: float = 0.0,
        structures: tuple[Structure, ...] = (),
        weak: Augmentation | None = None,
    ) -> None:
        """Raise ValueError if a stream is requested and there are no cases to draw from.

        ``draws``: how many samples every step has. ``deferred``: samples are made with the augmentation's margin, and
        ``finish`` augments them, a batch at a time. ``needs``: the strategy's, for a task with ``n_classes`` classes.
        ``pin``: batches from workers come in pinned memory, for a GPU. ``has_ignored``: labels may hold IGNORED.
        ``foreground_share``, ``structures``, ``weak``: see Sampler.
        """
        for counts in draws.kinds:
            for name, size, cases in (
                ("labeled", counts.labeled, labeled),
                ("unlabeled", counts.unlabeled, unlabeled),
            ):
                if size and not cases:
                    raise ValueError(f"{size} {name} samples per step requested, but there are no {name} cases")
        streams = tuple(labeled), tuple(unlabeled)
        self._sampler = Sampler(*streams, augmentation, patch_size, seed, deferred, foreground_share, structures, weak)
        self._draws = draws
        self._channels = (*labeled, *unlabeled)[0].channels
        self._workers, self._rank, self._world = workers, rank, world
        self._needs, self._n_classes = needs, n_classes
        self._pin, self._has_ignored = pin, has_ignored

    def serve_unlabeled(self, cases: Sequence[StoredImage]) -> None:
        """Draw unlabeled samples from these cases (with pseudo-labels, say) from the next call of ``steps`` on."""
        self._sampler = replace(self._sampler, unlabeled=tuple(cases))

    def steps(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps ``start`` to ``stop - 1``; close the iterator to stop its workers early.

        Raises:
            SemisegError: as raised when the sample was made. TrainingError: a worker was killed.
        """
        if self._workers == 0 or start >= stop:
            for step in range(start, stop):
                yield self.packed(step).unpack(self._sampler.deferred)
            return
        unpack = partial(
            PackedBatch.unpack_pinned if self._pin else PackedBatch.unpack, keep_ignored=self._sampler.deferred
        )
        with closing(in_workers(self.packed, unpack, range(start, stop), self._workers)) as batches:
            yield from batches

    def packed(self, step: int) -> PackedBatch:
        """Return this rank's part of a step's batch."""
        counts = self._draws.at(step)
        mine, others = share_of(counts, self._needs, self._rank, self._world)
        labeled = [self._sampler.draw_labeled(step, slot) for slot in mine]
        unlabeled = [self._sampler.draw_unlabeled(step, counts.labeled + slot) for slot in others]
        shape = (self._channels, *self._sampler.sample_size)
        pseudo = self._sampler.with_pseudo, self._has_ignored, self._sampler.pseudo_has_ignored
        packed = pack(labeled, unlabeled, counts, shape, *pseudo)
        if self._sampler.deferred or not self._needs.targets:
            return packed
        with one_thread():
            made = make_targets(self._needs.targets, packed.labels(), self._n_classes)
        return replace(packed, targets={name: target.numpy() for name, target in made.items()})

    def finish(self, batch: Batch, step: int) -> Batch:
        """Return a step's batch for training: if augmentation was deferred, it is done here, on the batch's device."""
        sampler = self._sampler
        if not sampler.deferred:
            return batch
        labeled, unlabeled = batch.labeled, batch.unlabeled
        image, label = self._augmented(labeled, labeled.label, step, sampler.labeled, sampler.augmentation)
        assert label is not None
        if self._has_ignored:
            label = for_losses(label)
        targets = make_targets(self._needs.targets, label, self._n_classes)
        others, pseudo = self._augmented(unlabeled, unlabeled.pseudo, step, sampler.unlabeled, sampler.of_unlabeled)
        if pseudo is not None and unlabeled.has_ignored:
            pseudo = for_losses(pseudo)
        return Batch(
            replace(labeled, image=image, label=label, targets=targets),
            replace(unlabeled, image=others, pseudo=pseudo),
        )

    def _augmented(
        self, stream: Stream, label: Tensor | None, step: int, cases: Sequence[StoredImage], augmentation: Augmentation
    ) -> tuple[Tensor, Tensor | None]:
        image, size = stream.image, self._sampler.patch_size
        if not stream.slots:
            return image.new_empty((0, self._channels, *size)), None if label is None else label.new_empty((0, *size))
        assert isinstance(augmentation, BatchAugmentation)
        changes = [self._sampler.change(step, slot, cases, augmentation) for slot in stream.slots]
        return augmentation.apply(image, label, changes, size)


def share_of(counts: tuple[int, int], needs: BatchNeeds, rank: int, world: int) -> tuple[list[int], list[int]]:
    """Return the labeled and the unlabeled samples, each numbered from 0, of one of ``world`` processes.

    Groups of ``unit`` consecutive samples of a stream stay together and go to the processes in turn. The unlabeled
    groups continue where the labeled ones ended, so that no process has two groups while another has none.
    """
    labeled, unlabeled = needs.labeled.unit, needs.unlabeled.unit
    begin = -(-counts[0] // labeled)
    return (
        [index for index in range(counts[0]) if index // labeled % world == rank],
        [index for index in range(counts[1]) if (begin + index // unlabeled) % world == rank],
    )


def n_groups(counts: tuple[int, int], needs: BatchNeeds) -> int:
    """Return the number of groups in a step, which is the maximum number of processes that can share it."""
    return -(-counts[0] // needs.labeled.unit) - (-counts[1] // needs.unlabeled.unit)


def largest_share(counts: tuple[int, int], needs: BatchNeeds, world: int) -> Counts:
    """Return the share of the process with the most samples; in a tie, with the most unlabeled samples.

    Unlabeled samples cost more: a teacher also processes them, or a network processes them twice.
    """
    shares = [share_of(counts, needs, rank, world) for rank in range(world)]
    sizes = [Counts(len(labeled), len(unlabeled)) for labeled, unlabeled in shares]
    return max(sizes, key=lambda size: (size.total, size.unlabeled))
