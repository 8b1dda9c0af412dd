"""Micro-batches: a step's batch in parts that go through the networks one after another."""

from semiseg.interfaces.batch import Batch
from semiseg.interfaces.strategy import BatchNeeds


def micro_batches(batch: Batch, size: int | None, needs: BatchNeeds) -> list[Batch]:
    """The batch in parts of at most ``size`` samples, labeled and unlabeled ones spread evenly over them.

    Counts stay those of the whole step, so that the parts' losses add up to the batch's. Samples that a strategy needs
    together stay so; a part is larger than ``size`` where a single group is. None: the batch as it is.
    """
    if size is None or len(batch.labeled) + len(batch.unlabeled) <= size:
        return [batch]
    # Groups in the order of their place in their stream, from 0 to 1: of 4 labeled and 2 unlabeled, l l u l l u.
    groups = sorted(
        ((start + unit) / length, stream, min(unit, length - start))
        for stream, length, unit in (
            (0, len(batch.labeled), needs.labeled.unit),
            (1, len(batch.unlabeled), needs.unlabeled.unit),
        )
        for start in range(0, length, unit)
    )
    counts = [[0, 0]]
    for _, stream, samples in groups:
        if sum(counts[-1]) > 0 and sum(counts[-1]) + samples > size:
            counts.append([0, 0])
        counts[-1][stream] += samples
    parts, labeled, unlabeled = [], 0, 0
    for n_labeled, n_unlabeled in counts:
        parts.append(batch.part(slice(labeled, labeled + n_labeled), slice(unlabeled, unlabeled + n_unlabeled)))
        labeled, unlabeled = labeled + n_labeled, unlabeled + n_unlabeled
    return parts
