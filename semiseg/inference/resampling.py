"""Probabilities on a network's grid, resampled to the voxels of the file, plane by plane."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semiseg.inference.windows import Span
from semiseg.preprocessing.resampling import nearest_index


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """The two voxels of one axis between which each voxel of the result lies, and its distance from the first.

    Attributes:
        low: (n,) int64 indices.
        high: (n,) int64 indices: ``low``, or one more.
        weight: (n,) float32 weight of ``high``.
    """

    low: Tensor
    high: Tensor
    weight: Tensor

    @classmethod
    def of(cls, n_in: int, n_out: int, nearest: bool = False) -> "Taps":
        """Return the taps of ``n_out`` voxels over ``n_in``, both of the same extent.

        Centers correspond as x_in = (x_out + 0.5) n_in / n_out - 0.5 (align_corners=False in torch), clamped to the
        outermost voxels; linear, or the nearest voxel.
        """
        if nearest or n_in == n_out:
            low = high = nearest_index(n_in, n_out)
            weight = np.zeros(n_out, np.float32)
        else:
            x = np.clip((np.arange(n_out) + 0.5) * n_in / n_out - 0.5, 0, n_in - 1)
            low = np.floor(x).astype(np.int64)
            high = np.minimum(low + 1, n_in - 1)
            weight = (x - low).astype(np.float32)
        return cls(torch.from_numpy(low), torch.from_numpy(high), torch.from_numpy(weight))

    @property
    def span(self) -> Span:
        """First voxel that is used and last plus one."""
        return int(self.low[0]), int(self.high[-1]) + 1

    @property
    def changes(self) -> bool:
        """Whether the result differs from the voxels in ``span``."""
        return bool(self.weight.any()) or not torch.equal(self.low, torch.arange(*self.span))

    def cut(self, first: int, stop: int) -> "Taps":
        """Return the taps of some voxels of the result."""
        return Taps(self.low[first:stop], self.high[first:stop], self.weight[first:stop])

    def apply(self, values: Tensor, dim: int) -> Tensor:
        """Resample the voxels of ``span``, which are those of ``values`` along ``dim``."""
        if not self.changes:
            return values
        first, _ = self.span
        low = values.index_select(dim, self.low - first)
        if not self.weight.any():
            return low
        shape = [-1 if axis == dim else 1 for axis in range(values.ndim)]
        return torch.lerp(low, values.index_select(dim, self.high - first), self.weight.view(shape))


def resampled(blocks: Iterable[Tensor], along: Taps, across: tuple[Taps, Taps]) -> Iterator[Tensor]:
    """Resample blocks of planes (K, n, a, b) that follow each other; yield single planes (K, 1, a', b').

    Args:
        blocks: together the span of ``along``, each of the spans of ``across``; a block may be overwritten once the
            next one is requested.
        along: from n to planes of the result.
        across: from a and b to a' and b'.
    """
    if not (along.changes or across[0].changes or across[1].changes):
        yield from blocks
        return
    planes = (block[:, index : index + 1] for block in blocks for index in range(block.shape[1]))
    at = along.span[0] - 1
    before = here = torch.empty(0)
    for low, high, weight in zip(along.low.tolist(), along.high.tolist(), along.weight.tolist(), strict=True):
        while at < high:
            plane = next(planes)
            across_first = across[1].apply(across[0].apply(plane, 2), 3)
            before, here, at = here, across_first.clone() if across_first is plane else across_first, at + 1
        yield torch.lerp(before, here, weight) if low < at and weight else before if low < at else here
