"""A batch as arrays, which are sent between processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semiseg.data.samples import LabeledSample, PseudoSample, Sample
from semiseg.interfaces.batch import Batch, LabeledStream, UnlabeledStream
from semiseg.interfaces.strategy import Target
from semiseg.types import IGNORE, IGNORED


@dataclass(frozen=True, slots=True, eq=False)
class PackedBatch:
    """The arrays of a batch: images (b, C, X, Y, Z) float32, labels and pseudo-labels (b, X, Y, Z) uint8.

    ``targets`` are (b, C, X, Y, Z) float32 by name, for the labeled samples. ``has_ignored``: labels may hold IGNORED;
    ``pseudo_has_ignored``: pseudo-labels may.
    """

    labeled: NDArray[np.float32]
    label: NDArray[np.uint8]
    unlabeled: NDArray[np.float32]
    pseudo: NDArray[np.uint8] | None
    targets: Mapping[str, NDArray[np.float32]]
    slots: tuple[tuple[int, ...], tuple[int, ...]]
    cases: tuple[tuple[str, ...], tuple[str, ...]]
    counts: tuple[int, int]
    has_ignored: bool = False
    pseudo_has_ignored: bool = False

    def unpack(self, keep_ignored: bool = False) -> Batch:
        """Return the batch, with labels as int64: class indices and IGNORE, or still IGNORED with ``keep_ignored``."""
        pseudo = None if self.pseudo is None else torch.from_numpy(self.pseudo).long()
        if pseudo is not None and self.pseudo_has_ignored and not keep_ignored:
            pseudo = for_losses(pseudo)
        return Batch(
            LabeledStream(
                torch.from_numpy(self.labeled),
                self.counts[0],
                self.slots[0],
                self.cases[0],
                self.labels(keep_ignored),
                {name: torch.from_numpy(array) for name, array in self.targets.items()},
                self.has_ignored,
            ),
            UnlabeledStream(
                torch.from_numpy(self.unlabeled),
                self.counts[1],
                self.slots[1],
                self.cases[1],
                pseudo,
                self.pseudo_has_ignored,
            ),
        )

    def labels(self, keep_ignored: bool = False) -> torch.Tensor:
        """Return the labels as ``unpack`` does."""
        labels = torch.from_numpy(self.label).long()
        return for_losses(labels) if self.has_ignored and not keep_ignored else labels

    def unpack_pinned(self, keep_ignored: bool = False) -> Batch:
        """Return the batch in page-locked memory, which allows asynchronous copies to a GPU."""
        return self.unpack(keep_ignored).apply(torch.Tensor.pin_memory)


def for_losses(labels: torch.Tensor) -> torch.Tensor:
    """Return int64 labels with IGNORE instead of IGNORED, which augmentations move like any other value."""
    return torch.where(labels == IGNORED, IGNORE, labels)


def pack(
    labeled: Sequence[LabeledSample],
    unlabeled: Sequence[Sample],
    counts: tuple[int, int],
    shape: tuple[int, ...],
    with_pseudo: bool = False,
    has_ignored: bool = False,
    pseudo_has_ignored: bool = False,
) -> PackedBatch:
    """Pack samples of ``shape`` (C, X, Y, Z) into a batch without targets; either stream may be empty."""
    pseudo = [sample.pseudo.numpy() for sample in unlabeled if isinstance(sample, PseudoSample)]
    return PackedBatch(
        _stack([sample.image.numpy() for sample in labeled], shape, np.float32),
        _stack([sample.label.numpy() for sample in labeled], shape[1:], np.uint8),
        _stack([sample.image.numpy() for sample in unlabeled], shape, np.float32),
        _stack(pseudo, shape[1:], np.uint8) if with_pseudo else None,
        {},
        (tuple(sample.slot for sample in labeled), tuple(sample.slot for sample in unlabeled)),
        (tuple(sample.case_id for sample in labeled), tuple(sample.case_id for sample in unlabeled)),
        counts,
        has_ignored,
        pseudo_has_ignored,
    )


def make_targets(targets: Sequence[Target], labels: torch.Tensor, n_classes: int) -> dict[str, torch.Tensor]:
    """Return a strategy's additional targets by name, made from the labels (b, X, Y, Z) int64, or IGNORE."""
    return {target.name: target.make(labels, n_classes) for target in targets}


def _stack(arrays: Sequence[NDArray[Any]], shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    stacked: NDArray[Any] = np.empty((len(arrays), *shape), dtype)
    for place, array in zip(stacked, arrays, strict=True):
        if array.shape != shape:
            raise ValueError(f"the augmentation returned shape {array.shape} instead of {shape}")
        place[...] = array
    return stacked
