"""Estimates of the cost of predicting an image, and the way of prediction that keeps a limit of memory."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from semiseg.inference.resampling import Taps
from semiseg.inference.sliding_window import Predictor
from semiseg.inference.windows import Part, Span, others
from semiseg.io.memory import machine_memory
from semiseg.preprocessing.slices import box_of
from semiseg.types import Shape

DEFAULT_LIMIT = 4 * 2**30
"""Bytes that predicting an image may take by default (``inference.memory_gib: auto``)."""
_SHARE = 0.8
"""Fraction of the machine's memory that the default does not exceed."""
_COPIES = 3
"""Copies of a window's outputs at once: logits, probabilities, and these weighted."""
_PLANES = 6
"""Planes of probabilities at once while they are resampled and averaged."""
_MOST_PARTS = 64
PIECE = 4 * 2**20
"""Bytes of probabilities that are averaged and decided on at once, if a plane has no more."""


def memory_limit(asked: float | Literal["auto"]) -> int:
    """Return the limit in bytes of ``inference.memory_gib``; auto: 4 GiB, or 80 % of the machine's memory if less."""
    if asked != "auto":
        return int(asked * 2**30)
    machine, processes = machine_memory(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return DEFAULT_LIMIT if machine is None else min(DEFAULT_LIMIT, int(_SHARE * machine) // processes)


def window_count(shape: Shape, patch: Shape, overlap: float) -> int:
    """Return the number of windows that cover an image, as placed by ``Predictor``; ``patch`` has the image's axes."""
    count = 1
    for n, p in zip(shape, patch, strict=True):
        step = max(int(p * (1 - overlap)), 1)
        count *= math.ceil(max(n - p, 0) / step) + 1
    return count


@dataclass(frozen=True, slots=True)
class Subject:
    """An image as one predictor predicts it.

    Attributes:
        predictor: the predictor.
        channels: of the image.
        outputs: classes or regions.
        box: the voxels that are predicted, within the box that all predictors' boxes lie in.
        grid: shape of the network's input, to which the box was resampled.
        slice_axis: the axis across which networks of two dimensions slice the image.
        apart: the axis resampled slice by slice, if any.
    """

    predictor: Predictor
    channels: int
    outputs: int
    box: Part
    grid: Shape
    slice_axis: int = 2
    apart: int | None = None

    def taps(self, part: Part) -> tuple[Taps, Taps, Taps]:
        """Return the way from the grid to a part of the box, along each axis."""
        spans = zip(self.grid, self.box, part, strict=True)
        x, y, z = (
            Taps.of(n, last - first, axis == self.apart).cut(low - first, high - first)
            for axis, (n, (first, last), (low, high)) in enumerate(spans)
        )
        return x, y, z

    def image(self) -> int:
        """Return bytes of the image, cropped and normalized."""
        return 4 * self.channels * (_voxels(self.box) + math.prod(self.grid))

    def whole(self) -> int:
        """Return bytes of the probabilities of the whole image, with the windows' weights."""
        return math.prod(self.grid) * 4 * (self.outputs + 1) + self._work(self.box, 0)

    def slab(self, axis: int, part: Part) -> int:
        """Return bytes of the incomplete planes of a part, and of the windows predicted at once."""
        inside = intersection(part, self.box)
        if inside is None:
            return self._work(part, axis)
        x, y, z = (taps.span for taps in self.taps(inside))
        windows = self.predictor.windows(self.grid, self.slice_axis, axis, (x, y, z))
        batch = windows.largest_batch() * math.prod(windows.size)
        sums = windows.depth() * _across(windows.part, axis) * 4 * (self.outputs + 1)
        return sums + _COPIES * batch * 4 * self.outputs + self._work(part, axis)

    def _work(self, part: Part, axis: int) -> int:
        """Return bytes of the planes that are resampled, averaged and decided on."""
        return max(_PLANES * 4 * self.outputs * _across(part, axis), _COPIES * PIECE)


@dataclass(frozen=True, slots=True)
class Way:
    """The way to predict an image.

    Attributes:
        memory: estimated bytes, without the networks'.
        axis: the axis along which probabilities are completed.
        parts: the parts of the box predicted one after another; windows that touch several are predicted for each.
        whole: the probabilities of the whole image are computed at once.
        least: the least that any way takes, if no way keeps the limit; 0 otherwise.
    """

    memory: int
    axis: int
    parts: tuple[Part, ...]
    whole: bool = False
    least: int = 0


def choose_way(subjects: Sequence[Subject], shape: Shape, box: Part, limit: int) -> Way:
    """Return the way to predict an image with some predictors within a limit of bytes.

    Whole images if that takes at most the limit; otherwise along the axis that takes least, in as few parts as keep the
    limit: no narrower than a window. If none does, the image as one part, slab by slab.

    Args:
        subjects: the predictors.
        shape: the file's.
        box: the box that contains those of all predictors.
        limit: in bytes.
    """
    n_file, n_box = math.prod(shape), _voxels(box)
    fixed = 4 * subjects[0].channels * n_file + n_file + n_box + sum(subject.image() for subject in subjects)
    at_once = fixed + sum(subject.whole() for subject in subjects)
    if at_once <= limit:
        return Way(at_once, 0, (box,), whole=True)
    ways: list[Way] = []
    for count in range(1, _MOST_PARTS + 1):
        for axis in range(3):
            parts = _parts(box, axis, count)
            largest = max(parts, key=_voxels)
            if count == 1 or _is_worthwhile(largest, axis, subjects):
                ways.append(Way(fixed + sum(s.slab(axis, largest) for s in subjects), axis, parts))
        best = min(ways, key=lambda way: way.memory)
        if best.memory <= limit:
            return best
    return replace(min(ways[:3], key=lambda way: way.memory), least=best.memory)


def _is_worthwhile(part: Part, axis: int, subjects: Sequence[Subject]) -> bool:
    """Return whether a part is as wide as a window: most windows of narrower parts would be predicted several times."""
    across = others(axis)
    sizes = (box_of(s.predictor.patch_size, s.slice_axis) for s in subjects)
    return all(part[a][1] - part[a][0] >= size[a] for size in sizes for a in across)


def intersection(part: Part, other: Part) -> Part | None:
    """Return the voxels of both parts; None if there are none."""
    x, y, z = ((max(a, c), min(b, d)) for (a, b), (c, d) in zip(part, other, strict=True))
    return (x, y, z) if all(first < last for first, last in (x, y, z)) else None


def _voxels(part: Part) -> int:
    return math.prod(last - first for first, last in part)


def _across(part: Part, axis: int) -> int:
    """Return the number of voxels of a plane."""
    return math.prod(part[other][1] - part[other][0] for other in others(axis))


def _parts(box: Part, axis: int, count: int) -> tuple[Part, ...]:
    """Divide a box into about ``count`` columns along an axis, which are as square as possible."""
    first, second = others(axis)
    sides = {other: box[other][1] - box[other][0] for other in (first, second)}
    n = min(max(round(math.sqrt(count * sides[first] / sides[second])), 1), count)
    spans = {axis: [box[axis]], first: _spans(box[first], n), second: _spans(box[second], math.ceil(count / n))}
    return tuple((x, y, z) for x, y, z in product(*(spans[a] for a in range(3))))


def _spans(span: Span, count: int) -> list[Span]:
    first, last = span
    n = last - first
    count = min(count, n)
    return [(first + n * i // count, first + n * (i + 1) // count) for i in range(count)]
