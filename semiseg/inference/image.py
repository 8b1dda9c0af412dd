"""One image, predicted with the mean probabilities of one or several models, in the voxels of its file."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from semiseg.errors import DataError, TrainingError
from semiseg.inference.components import keep_largest
from semiseg.inference.estimate import PIECE, Subject, Way, choose_way, intersection, memory_limit
from semiseg.inference.features import pooled_features
from semiseg.inference.resampling import resampled
from semiseg.inference.sliding_window import Predictor
from semiseg.inference.windows import Part, others
from semiseg.io.orientation import grid_in_ras
from semiseg.messages import gib
from semiseg.preprocessing.preparation import Box, Preparation
from semiseg.preprocessing.prepare import Prepared, network_shape, prepare
from semiseg.preprocessing.slices import slice_axis
from semiseg.recipe import schema
from semiseg.types import Geometry, Shape, Volume

Receive = Callable[[Part, Tensor], None]
"""Receives probabilities (K, x, y, z) of a part of the file's grid turned to R, A, S."""
ReceiveEach = Callable[[Part, Sequence[Tensor]], None]
"""Receives each member's probabilities (K, x, y, z) of such a part, in the order of the members."""


@dataclass(frozen=True, slots=True)
class Member:
    """A model of an ensemble: its predictor, the preprocessing of its images, and the names of their channels."""

    predictor: Predictor
    preprocessing: schema.Preprocessing
    modalities: tuple[str, ...] = ()

    def prepare(self, volume: Volume, where: str) -> Prepared:
        """Preprocess an image. Raises DataError; ``where`` is the name in the message."""
        return prepare(volume, self.preprocessing, where, self.modalities)

    def grid(self, geometry: Geometry) -> Shape:
        """Return the shape of the network's input for an image that is all foreground, for estimates.

        It is the file's for an image that cannot be resampled, which is reported when it is predicted.
        """
        try:
            return network_shape(geometry, self.preprocessing)
        except DataError:
            return grid_in_ras(geometry).shape

    def slice_axis(self, geometry: Geometry) -> int:
        """Return the axis across which networks of two dimensions slice an image."""
        return slice_axis(geometry, self.preprocessing.slice_axis)

    def features(self, role: str, volume: Volume, where: str) -> NDArray[np.float64]:
        """Return the features (F,) that a role's network has of an image; see ``pooled_features``. Raises DataError."""
        prepared = self.prepare(volume, where)
        return pooled_features(self.predictor, role, prepared.normalized(), prepared.preparation.slice_axis)


@dataclass(frozen=True, slots=True)
class Limit:
    """The bytes that predicting an image may take; ``strict`` if an image that takes more is an error."""

    bytes: int
    strict: bool = False

    @classmethod
    def of(cls, asked: float | Literal["auto"]) -> "Limit":
        """Return the limit of ``inference.memory_gib``."""
        return cls(memory_limit(asked), strict=asked != "auto")


@dataclass(frozen=True, slots=True)
class Ensemble:
    """One or several models with the same classes and coding, which predict an image together.

    Attributes:
        members: the models.
        n_outputs: number of classes or regions.
        limit: of memory.
        largest: indices of the classes of which only the largest component is kept.
    """

    members: Sequence[Member]
    n_outputs: int
    limit: Limit
    largest: tuple[int, ...] = ()

    def predict(
        self,
        volume: Volume,
        where: str = "",
        receive: Receive | None = None,
        receive_each: ReceiveEach | None = None,
    ) -> NDArray[np.uint8]:
        """Return class indices (X, Y, Z) of the members' mean probabilities, in the image's own grid.

        Probabilities are averaged in the file's voxels: those on another grid are resampled, linearly, or to the
        nearest voxel along an axis that was resampled apart. Outside a member's foreground box they are background.

        Args:
            volume: the image.
            where: its name in messages.
            receive: gets the mean probabilities of the box that contains those of all members, part by part.
            receive_each: gets those of each member, of the same parts; memory that the next part overwrites.

        Raises:
            DataError: the image cannot be preprocessed.
            TrainingError: probabilities that are not finite, or an image that takes more than a strict limit.
        """
        inputs = _inputs(self.members, volume, where)
        box = _enclosing([one.preparation.box for one in inputs])
        subjects = [_subject(member, one, self.n_outputs) for member, one in zip(self.members, inputs, strict=True)]
        way = choose_way(subjects, volume.geometry.shape, box, self.limit.bytes)
        if self.limit.strict and way.least:
            raise _too_large(way.least, self.limit.bytes)
        coding = self.members[0].predictor.strategy.coding
        background = coding.background(self.n_outputs)
        sources = [_Source(s, one.image, way, background) for s, one in zip(subjects, inputs, strict=True)]
        kept = replace(inputs[0].preparation, box=box, grid=None, apart=None)
        labels = np.zeros(kept.box_shape, np.uint8)
        for part in way.parts:
            for piece, each in _pieces(sources, part, way.axis):
                values = _mean(each)
                own = tuple(slice(a - low, b - low) for (a, b), (low, _) in zip(piece, box, strict=True))
                labels[own] = coding.decide(values).numpy()
                if receive is not None:
                    receive(piece, values)
                if receive_each is not None:
                    receive_each(piece, each)
        restored = kept.restore(labels)
        keep_largest(restored, self.largest)
        return restored


@dataclass(frozen=True, slots=True, eq=False)
class _Input:
    image: NDArray[np.float32]
    preparation: Preparation


def _inputs(members: Sequence[Member], volume: Volume, where: str) -> list[_Input]:
    """Return each member's input; members with the same preprocessing share it."""
    made: list[tuple[Member, _Input]] = []
    found = []
    for member in members:
        one = next((one for other, one in made if member == replace(other, predictor=member.predictor)), None)
        if one is None:
            prepared = member.prepare(volume, where)
            one = _Input(prepared.normalized(), prepared.preparation)
            made.append((member, one))
        found.append(one)
    return found


def _subject(member: Member, one: _Input, n_outputs: int) -> Subject:
    p = one.preparation
    return Subject(member.predictor, len(one.image), n_outputs, p.box, p.shape, p.slice_axis, p.apart)


def _enclosing(boxes: Sequence[Box]) -> Box:
    x, y, z = ((min(a for a, _ in sides), max(b for _, b in sides)) for sides in zip(*boxes, strict=True))
    return x, y, z


def _too_large(needed: int, limit: int) -> TrainingError:
    return TrainingError(
        f"Predicting the image takes at least {gib(needed, 2)} of memory, more than the limit of {gib(limit, 2)}.",
        "Raise the limit (--memory, or inference.memory_gib in the recipe), or crop the image.",
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """The probabilities of one member."""

    subject: Subject
    image: NDArray[np.float32]
    way: Way
    background: Tensor

    def planes(self, part: Part) -> Iterator[Tensor]:
        """Yield probabilities of a part of the file in blocks of planes (K, n, a, b), which follow each other."""
        axis, (first, last) = self.way.axis, part[self.way.axis]
        inside = intersection(part, self.subject.box)
        if inside is None:
            yield self._empty(part, last - first)
            return
        low, high = inside[axis]
        if first < low:
            yield self._empty(part, low - first)
        a, b = others(axis)
        widths = [part[other][1] - part[other][0] for other in (a, b)]
        at = [slice(inside[other][0] - part[other][0], inside[other][1] - part[other][0]) for other in (a, b)]
        taps = self.subject.taps(inside)
        x, y, z = (t.span for t in taps)
        for block in resampled(self._on_grid((x, y, z)), taps[axis], (taps[a], taps[b])):
            if [*block.shape[2:]] == widths:
                yield block
            else:
                placed = self._empty(part, block.shape[1]).clone()
                placed[:, :, *at] = block
                yield placed
        if high < last:
            yield self._empty(part, last - high)

    def _on_grid(self, part: Part) -> Iterator[Tensor]:
        s, axis = self.subject, self.way.axis
        if self.way.whole:
            whole = s.predictor.probabilities(self.image, s.slice_axis)
            yield whole[(slice(None), *(slice(*span) for span in part))].movedim(1 + axis, 1)
        else:
            yield from s.predictor.planes(self.image, s.slice_axis, axis, part)

    def _empty(self, part: Part, count: int) -> Tensor:
        a, b = (part[other][1] - part[other][0] for other in others(self.way.axis))
        return self.background.view(-1, 1, 1, 1).expand(-1, count, a, b)


def _pieces(sources: Sequence[_Source], part: Part, axis: int) -> Iterator[tuple[Part, list[Tensor]]]:
    """Yield each source's probabilities (K, x, y, z) of a part, piece by piece, with the piece's place in the file."""
    streams = [source.planes(part) for source in sources]
    blocks = [next(stream) for stream in streams]
    first, last = part[axis]
    at = first
    while True:
        n = max(1, PIECE // (4 * math.prod(blocks[0][:, :1].shape)))
        n = min(n, *(block.shape[1] for block in blocks))
        spans = [*part[:axis], (at, at + n), *part[axis + 1 :]]
        yield (spans[0], spans[1], spans[2]), [block[:, :n].movedim(1, 1 + axis) for block in blocks]
        at += n
        if at == last:
            return
        left = [block[:, n:] for block in blocks]
        blocks = [block if block.shape[1] else next(stream) for block, stream in zip(left, streams, strict=True)]


def _mean(members: Sequence[Tensor]) -> Tensor:
    total = members[0]
    for values in members[1:]:
        total = total + values
    return total / len(members) if len(members) > 1 else total
