"""A batch as arrays, which travel between processes through a pipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semiseg.data.samples import LabeledSample, Sample
from semiseg.interfaces.batch import Batch, LabeledStream, UnlabeledStream


@dataclass(frozen=True, slots=True, eq=False)
class PackedBatch:
    """The arrays of a batch: images (b, C, X, Y, Z) float32, labels (b, X, Y, Z) uint8."""

    labeled: NDArray[np.float32]
    label: NDArray[np.uint8]
    unlabeled: NDArray[np.float32]
    slots: tuple[tuple[int, ...], tuple[int, ...]]
    cases: tuple[tuple[str, ...], tuple[str, ...]]
    counts: tuple[int, int]

    def unpack(self) -> Batch:
        """The batch, with labels as int64."""
        return Batch(
            LabeledStream(
                torch.from_numpy(self.labeled),
                self.counts[0],
                self.slots[0],
                self.cases[0],
                torch.from_numpy(self.label).long(),
            ),
            UnlabeledStream(torch.from_numpy(self.unlabeled), self.counts[1], self.slots[1], self.cases[1]),
        )

    def unpack_pinned(self) -> Batch:
        """The batch in page-locked memory, from which copies to a GPU need not be waited for."""
        return self.unpack().apply(torch.Tensor.pin_memory)


def pack(
    labeled: Sequence[LabeledSample], unlabeled: Sequence[Sample], counts: tuple[int, int], shape: tuple[int, ...]
) -> PackedBatch:
    """Samples of ``shape`` (C, X, Y, Z) as a batch; either stream may be empty."""
    return PackedBatch(
        _stack([sample.image.numpy() for sample in labeled], shape, np.float32),
        _stack([sample.label.numpy() for sample in labeled], shape[1:], np.uint8),
        _stack([sample.image.numpy() for sample in unlabeled], shape, np.float32),
        (tuple(sample.slot for sample in labeled), tuple(sample.slot for sample in unlabeled)),
        (tuple(sample.case_id for sample in labeled), tuple(sample.case_id for sample in unlabeled)),
        counts,
    )


def _stack(arrays: Sequence[NDArray[Any]], shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    stacked: NDArray[Any] = np.empty((len(arrays), *shape), dtype)
    for place, array in zip(stacked, arrays, strict=True):
        if array.shape != shape:
            raise ValueError(f"the augmentation gave {array.shape} for {shape}")
        place[...] = array
    return stacked
