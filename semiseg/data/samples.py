"""One training sample, determined by its number alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.data.case_records import StoredImage, StoredLabeled, StoredPseudo
from semiseg.data.foreground import Structure, draw_voxel, in_foreground
from semiseg.interfaces.augmentation import Augmentation, BatchAugmentation
from semiseg.preprocessing.slices import box_of, plane_of
from semiseg.seeding import derive_seed
from semiseg.types import Shape

Value = TypeVar("Value", bound=np.generic)
Slices = tuple[slice, ...]


def random_start(shape: Shape, size: Shape) -> Shape:
    """Draw the start of a box, uniform over all positions within the image, from torch's default generator.

    Along an axis on which the image is smaller than the box, the image is centered in it, and the start is negative.
    """
    x, y, z = (
        int(torch.randint(n - p + 1, ())) if n > p else center_start(n, p) for n, p in zip(shape, size, strict=True)
    )
    return x, y, z


def center_start(extent: int, size: int) -> int:
    """Return the start of ``size`` voxels centered on ``extent`` voxels; negative if ``size`` is larger."""
    return (extent - size) // 2


def start_around(voxel: Shape, shape: Shape, size: Shape) -> Shape:
    """Return the start of a box whose center is a voxel, or as close to it as a box within the image can be.

    The center of n voxels has index n // 2. Along an axis on which the image is smaller than the box, the image is
    centered in it. nnU-Net lets a box reach beyond the image's end.
    """
    x, y, z = (
        min(max(v - p // 2, 0), n - p) if n > p else center_start(n, p)
        for v, n, p in zip(voxel, shape, size, strict=True)
    )
    return x, y, z


def around(start: Shape, size: Shape, larger: Shape) -> Shape:
    """Return the start of a larger box centered on another."""
    x, y, z = (begin + center_start(p, n) for begin, p, n in zip(start, size, larger, strict=True))
    return x, y, z


def read_patch(stored: StoredImage, start: Shape, size: Shape) -> NDArray[np.float32]:
    """Read a box of the normalized image, (C, *size) float32; 0 outside the image. Only the box is read."""
    source, target = _overlap(stored.shape, start, size)
    patch = np.zeros((stored.channels, *size), np.float32)
    stored.preparation.normalize(stored.raw()[(slice(None), *source)], out=patch[(slice(None), *target)])
    return patch


def read_label_patch(stored: StoredLabeled, start: Shape, size: Shape) -> NDArray[np.uint8]:
    """Read the same box of the label, (*size) class indices or IGNORED; 0 (background) outside the image."""
    x, y, z = (begin - own for begin, own in zip(start, stored.label_start, strict=True))
    return _cut(stored.raw_label(), (x, y, z), size)


def read_pseudo_patch(stored: StoredPseudo, start: Shape, size: Shape) -> NDArray[np.uint8]:
    """Read the same box of the pseudo-label, (*size) class indices or IGNORED; 0 (background) outside the image."""
    return _cut(stored.raw_pseudo(), start, size)


def center_patch(array: NDArray[Value], size: Shape) -> NDArray[Value]:
    """Return the box of ``size`` voxels in the center of the last three axes, with 0 outside the array."""
    x, y, z = (center_start(n, p) for n, p in zip(array.shape[-3:], size, strict=True))
    return _cut(array, (x, y, z), size)


def _cut(array: NDArray[Value], start: Shape, size: Shape) -> NDArray[Value]:
    source, target = _overlap(array.shape[-3:], start, size)
    leading = (slice(None),) * (array.ndim - 3)
    cut: NDArray[Value] = np.zeros((*array.shape[:-3], *size), array.dtype)
    cut[(*leading, *target)] = array[(*leading, *source)]
    return cut


def _overlap(shape: tuple[int, ...], start: Shape, size: Shape) -> tuple[Slices, Slices]:
    """Return the part of a box that is in the image, in the image's voxels and in the box's."""
    first = [min(max(begin, 0), n) for begin, n in zip(start, shape, strict=True)]
    last = [max(min(begin + p, n), f) for begin, p, n, f in zip(start, size, shape, first, strict=True)]
    source = tuple(slice(f, e) for f, e in zip(first, last, strict=True))
    target = tuple(slice(f - b, e - b) for f, e, b in zip(first, last, start, strict=True))
    return source, target


Stored = TypeVar("Stored", bound=StoredImage)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A patch of an unlabeled case, (C, \\*patch) float32. It has no field for a label."""

    slot: int
    case_id: str
    image: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class PseudoSample(Sample):
    """A patch of an unlabeled case, with its pseudo-label, (\\*patch) int64: class indices or IGNORED."""

    pseudo: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class LabeledSample(Sample):
    """A patch of a labeled case, with its label, (\\*patch) int64: class indices or IGNORED."""

    label: Tensor


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch with one thread, as in a worker process, so that sums are identical wherever a sample is made."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Seed torch's default generator within the block; the caller's random state is restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also seed GPUs, whose state is not restored.
        torch.default_generator.manual_seed(seed)
        yield


@dataclass(frozen=True, slots=True, eq=False)
class Sampler:
    """A source of samples: case, position and augmentation depend only on (seed, step, slot).

    Cases are drawn uniformly with replacement, and positions of the patch uniformly; ``foreground_share`` of the
    samples with labels or pseudo-labels is centered on a voxel of one of the ``structures`` instead (``in_foreground``,
    ``draw_voxel``), if its case has any. A patch with two sides is taken from one slice, across the case's slice axis.
    ``deferred`` samples are left as read, including the margin, to be augmented later with ``change``. ``weak``: the
    augmentation of unlabeled samples, which reads as much, if it is another one.
    """

    labeled: Sequence[StoredLabeled]
    unlabeled: Sequence[StoredImage]
    augmentation: Augmentation
    patch_size: Shape
    seed: int
    deferred: bool = False
    foreground_share: float = 0.0
    structures: tuple[Structure, ...] = ()
    weak: Augmentation | None = None

    @property
    def of_unlabeled(self) -> Augmentation:
        """The augmentation of unlabeled samples."""
        return self.augmentation if self.weak is None else self.weak

    def draw_labeled(self, step: int, slot: int) -> LabeledSample:
        """Return the labeled sample of a slot."""
        with self._drawing(step, slot):
            case, start, size = self._place(self.labeled, step, slot)
            image, label = self._patch(case, start, size, read_label_patch(case, start, size), self.augmentation)
            assert label is not None
            return LabeledSample(slot, case.case_id, image, label)

    def draw_unlabeled(self, step: int, slot: int) -> Sample:
        """Return the unlabeled sample of a slot, with its pseudo-label if its case has one."""
        with self._drawing(step, slot):
            case, start, size = self._place(self.unlabeled, step, slot)
            indices = read_pseudo_patch(case, start, size) if isinstance(case, StoredPseudo) else None
            image, pseudo = self._patch(case, start, size, indices, self.of_unlabeled)
            if pseudo is None:
                return Sample(slot, case.case_id, image)
            return PseudoSample(slot, case.case_id, image, pseudo)

    def _patch(
        self,
        case: StoredImage,
        start: Shape,
        size: Shape,
        indices: NDArray[np.uint8] | None,
        augmentation: Augmentation,
    ) -> tuple[Tensor, Tensor | None]:
        patch, axis = self.patch_size, case.slice_axis
        image = torch.from_numpy(plane_of(read_patch(case, start, size), patch, axis))
        label = None if indices is None else torch.from_numpy(plane_of(indices, patch, axis)).long()
        return (image, label) if self.deferred else augmentation(image, label, self.patch_size)

    def change(self, step: int, slot: int, of: Sequence[StoredImage], augmentation: BatchAugmentation) -> Any:
        """Return the augmentation of a slot's deferred sample: drawn again, so that it need not be sent."""
        with self._drawing(step, slot):
            case, _, _ = self._place(of, step, slot)
            return augmentation.draw(case.channels)

    @property
    def with_pseudo(self) -> bool:
        """True if unlabeled samples come with pseudo-labels: all of them, or none."""
        return bool(self.unlabeled) and all(isinstance(case, StoredPseudo) for case in self.unlabeled)

    @property
    def pseudo_has_ignored(self) -> bool:
        """True if pseudo-labels may contain IGNORED."""
        return any(isinstance(case, StoredPseudo) and case.has_ignored for case in self.unlabeled)

    @property
    def sample_size(self) -> Shape:
        """The size of samples as drawn."""
        return self.augmentation.source_size(self.patch_size) if self.deferred else self.patch_size

    @contextmanager
    def _drawing(self, step: int, slot: int) -> Iterator[None]:
        with one_thread(), drawn_from(derive_seed(self.seed, "sample", step, slot)):
            yield

    def _place(self, cases: Sequence[Stored], step: int, slot: int) -> tuple[Stored, Shape, Shape]:
        # The patch is drawn first: the augmentation's margin does not change its position.
        case = cases[int(torch.randint(len(cases), ()))]
        box = box_of(self.patch_size, case.slice_axis)
        size = box_of(self.augmentation.source_size(self.patch_size), case.slice_axis)
        voxel = self._voxel(case) if in_foreground(self.foreground_share, self.seed, step, slot) else None
        start = random_start(case.shape, box) if voxel is None else start_around(voxel, case.shape, box)
        return case, around(start, box, size), size

    def _voxel(self, case: StoredImage) -> Shape | None:
        """Draw a foreground voxel in the image's box; None if the case has none, or no label."""
        if isinstance(case, StoredLabeled) and case.planes is not None:
            voxel = draw_voxel(case.raw_label(), case.planes, self.structures)
            return None if voxel is None else tuple(map(sum, zip(voxel, case.label_start, strict=True)))
        if isinstance(case, StoredPseudo) and case.planes is not None:
            return draw_voxel(case.raw_pseudo(), case.planes, self.structures)
        return None
