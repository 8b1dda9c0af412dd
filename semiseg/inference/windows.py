"""Sliding windows in the order of one axis, and their weighted mean, plane by plane."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

import torch
import torch.nn.functional as F
from torch import Tensor

from semiseg.errors import TrainingError
from semiseg.types import Shape

Span = tuple[int, int]
Part = tuple[Span, Span, Span]
"""First voxel and last plus one along each axis."""


def starts(n: int, window: int, overlap: float) -> list[int]:
    """Return the positions of windows along an axis of ``n`` voxels, those of MONAI's ``sliding_window_inference``.

    An image smaller than the window is padded on both sides: its only window starts before 0.
    """
    if n <= window:
        return [-((window - n) // 2)]
    step = max(int(window * (1 - overlap)), 1)
    return [min(number * step, n - window) for number in range(math.ceil((n - window) / step) + 1)]


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows over an image that touch a part of it, in batches, in the order of one axis.

    Attributes:
        shape: the image's shape.
        size: the window's.
        overlap: fraction of a window that overlaps its neighbor.
        batch_size: windows per batch.
        axis: the axis along which they proceed.
        part: the part; all of the image along ``axis``.
    """

    shape: Shape
    size: Shape
    overlap: float
    batch_size: int
    axis: int
    part: Part

    def batches(self) -> Iterator[list[Shape]]:
        """Yield the first voxel of each window."""
        order = [self.axis, *others(self.axis)]
        back = [order.index(axis) for axis in range(3)]
        found = (tuple(place[index] for index in back) for place in product(*(self._starts(axis) for axis in order)))
        while batch := list(islice(found, self.batch_size)):
            yield batch

    def depth(self) -> int:
        """Return the number of planes that are incomplete at once: a batch may reach into further layers of windows."""
        layers, (first, second) = self._starts(self.axis), others(self.axis)
        across = len(self._starts(first)) * len(self._starts(second))
        further = [
            min((layer * across + across + self.batch_size - 2) // across, len(layers) - 1)
            for layer in range(len(layers))
        ]
        ends = (min(layers[last] + self.size[self.axis], self.shape[self.axis]) for last in further)
        return max(end - max(start, 0) for start, end in zip(layers, ends, strict=True))

    def largest_batch(self) -> int:
        """Return the number of windows of a full batch, or of the only one."""
        return min(self.batch_size, math.prod(len(self._starts(axis)) for axis in range(3)))

    def _starts(self, axis: int) -> list[int]:
        """Return the positions along an axis of windows that touch the part."""
        first, last = self.part[axis]
        size = self.size[axis]
        return [start for start in starts(self.shape[axis], size, self.overlap) if first - size < start < last]


def others(axis: int) -> tuple[int, int]:
    """Return the two other axes of three."""
    first, second = (other for other in range(3) if other != axis)
    return first, second


def window_means(
    image: Tensor, windows: Windows, predict: Callable[[Tensor], Tensor], weights: Tensor
) -> Iterator[Tensor]:
    """Yield the weighted means of windows' predictions in blocks of planes (K, n, a, b), which follow each other.

    Args:
        image: (C, X, Y, Z).
        windows: the windows; a and b are the two axes of their part across ``windows.axis``.
        predict: maps windows (B, C, \\*size) to probabilities (B, K, \\*size).
        weights: weight of each voxel of a window (x, y, z), on the device of the predictions.

    A block is a view of memory that the next one overwrites. Only incomplete planes are in memory. Raises TrainingError
    if a mean is not finite.
    """
    slab = None
    for batch in windows.batches():
        if slab is not None:
            yield from slab.complete_until(batch[0][windows.axis])
        found = predict(torch.stack([cut(image, start, windows.size) for start in batch]))
        found = (found * weights).cpu()
        slab = slab or _Slab(windows, found.shape[1], weights.cpu())
        for start, values in zip(batch, found, strict=True):
            slab.add(start, values)
        del found
    if slab is not None:
        yield from slab.complete_until(windows.part[windows.axis][1])


def cut(image: Tensor, start: Shape, size: Shape) -> Tensor:
    """Return a window of an image, with zeros outside of it."""
    inside = [
        (max(first, 0), min(first + n, whole)) for first, n, whole in zip(start, size, image.shape[1:], strict=True)
    ]
    cut = image[(slice(None), *(slice(*span) for span in inside))]
    ends = zip(start, size, inside, strict=True)
    padding = [(low - first, first + n - high) for first, n, (low, high) in ends]
    return F.pad(cut, [width for pair in reversed(padding) for width in pair]) if any(map(any, padding)) else cut


class _Slab:
    """Sums and weights of the planes that windows are being added to: a ring, so that nothing has to be moved."""

    def __init__(self, windows: Windows, n_outputs: int, weights: Tensor) -> None:
        self._windows, self._weights = windows, weights
        self._depth, self._done = windows.depth(), windows.part[windows.axis][0]
        across = [windows.part[axis][1] - windows.part[axis][0] for axis in others(windows.axis)]
        self._sums = torch.zeros((n_outputs, self._depth, *across))
        self._total = torch.zeros((self._depth, *across))

    def add(self, start: Shape, values: Tensor) -> None:
        """Add a window's weighted predictions (K, x, y, z), without what lies outside the part."""
        w = self._windows
        spans = [
            (max(first, low), min(first + n, high)) for first, n, (low, high) in zip(start, w.size, w.part, strict=True)
        ]
        inner = tuple(slice(low - first, high - first) for (low, high), first in zip(spans, start, strict=True))
        across = [slice(spans[a][0] - w.part[a][0], spans[a][1] - w.part[a][0]) for a in others(w.axis)]
        values = values[(slice(None), *inner)].movedim(1 + w.axis, 1)
        weights = self._weights[inner].movedim(w.axis, 0)
        low, high = spans[w.axis]
        for first, last, place in self._places(low, high):
            self._sums[:, place, *across] += values[:, first - low : last - low]
            self._total[place, *across] += weights[first - low : last - low]

    def complete_until(self, stop: int) -> Iterator[Tensor]:
        """Yield the planes of the part up to ``stop``, to which no window will be added, as means."""
        for _, last, place in self._places(self._done, min(stop, self._windows.part[self._windows.axis][1])):
            sums, total = self._sums[:, place], self._total[place]
            sums /= total
            require_finite(sums)
            yield sums
            sums.zero_()
            total.zero_()
            self._done = last

    def _places(self, first: int, stop: int) -> Iterator[tuple[int, int, slice]]:
        """Yield planes from ``first`` to ``stop`` in runs, each with its place in the ring."""
        while first < stop:
            place = first % self._depth
            last = min(stop, first + self._depth - place)
            yield first, last, slice(place, place + last - first)
            first = last


def require_finite(probabilities: Tensor) -> None:
    """Raise TrainingError if a probability is not finite: its class would be the background."""
    if not math.isfinite(float(probabilities.sum())):  # one non-finite value makes the sum non-finite
        raise TrainingError(
            "The networks' probabilities are not finite.",
            "The weights are invalid, or too large for bf16 or fp16. Train with a lower training.optimizer.lr or"
            " with training.precision=32.",
        )


def whole(shape: Sequence[int]) -> Part:
    """Return all of an image as a part."""
    x, y, z = ((0, n) for n in shape)
    return x, y, z
