"""Plain records that the packages exchange; without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem, raise_all

MOST_CLASSES = 254
"""Maximum number of classes besides the background: class indices are uint8, and 255 is IGNORED."""
Shape = tuple[int, ...]
"""Voxels along each spatial axis."""
Unit = Literal["mm", "voxel", "pixel"]
UNIT_NAMES = {"mm": "mm", "voxel": "voxels", "pixel": "pixels"}
"""The units of distances in a sentence: after a number, or after "in"."""
IGNORE = -100
"""The label of a voxel that losses ignore; torch's default for that."""
IGNORED = 255
"""The value of an ignored voxel in label arrays (uint8), as read, stored and scored; IGNORE in training labels."""


@dataclass(frozen=True, slots=True)
class Case:
    """One scan: its image files in the dataset's modality order, and its label file if it has one.

    A multi-channel file may hold all modalities; then ``images`` has one path. ``patient`` groups the cases that must
    stay on one side of a split.
    """

    id: str
    images: tuple[Path, ...]
    label: Path | None = None
    patient: str = ""

    def __post_init__(self) -> None:
        if not self.patient:
            object.__setattr__(self, "patient", self.id)

    def without_label(self) -> "Case":
        """Return the same scan as an unlabeled case, without the path of its label."""
        return replace(self, label=None)


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """A voxel grid: its shape, and the affine (4, 4) float64 from voxel indices to RAS+ world coordinates.

    ``unit`` is "voxel" if the file stores no spacing: distances are then in voxels and are reported as such. The grid
    of a 2D image has shape (X, Y, 1) and the unit "pixel".
    """

    shape: Shape
    affine: NDArray[np.float64]
    unit: Unit = "mm"

    @property
    def spacing(self) -> tuple[float, float, float]:
        """The size of a voxel along each array axis, in ``unit``."""
        x, y, z = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return float(x), float(y), float(z)

    def difference(self, other: "Geometry", tolerance: float = 0.1) -> str:
        """Return how the two grids differ, in words; empty if no corner of the volume moves by more than ``tolerance``.

        ``tolerance`` is in voxels of this grid. Headers of one grid differ by rounding, which accumulates along each
        axis. Up to half a voxel, each voxel still lies in the voxel with the same indices of the other grid. A tenth
        leaves room for both.
        """
        if self.shape != other.shape:
            return f"shape {self.shape} vs. {other.shape}"
        moved = self._moved(other)
        if moved <= tolerance:
            return ""
        return f"affines that differ by {moved:,.2f} voxels at a corner of the volume"

    def _moved(self, other: "Geometry") -> float:
        """Return the largest distance between corresponding corners of the two grids, in voxels of this grid."""
        corners = np.array([(*corner, 1.0) for corner in product(*((-0.5, n - 0.5) for n in self.shape))]).T
        apart = np.linalg.solve(self.affine, (other.affine - self.affine) @ corners)
        return float(np.sqrt((apart[:3] ** 2).sum(axis=0)).max())


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxels with their grid: (C, X, Y, Z) for an image, (X, Y, Z) class indices or IGNORED (uint8) for a label."""

    array: NDArray[Any]
    geometry: Geometry


_FEWER = (
    "Label values must be classes, not intensities or single objects. Name fewer classes, and map other values to one\n"
    "    of them or to background with dataset.label_map: {VALUE: INDEX}."
)

_OTHER_VALUE = "Remove the value from the classes and from dataset.label_map, or store another one in ignored voxels."


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """The meaning of a dataset's voxels.

    ``classes`` are names by class index, background first. ``label_map`` maps each stored value to its class index, and
    ``class_values`` are the values to write for the class indices. ``regions`` are unions of classes that are scored in
    addition, as names of their classes by the region's name. ``ignore`` is the stored value of ignored voxels, which
    count in no loss and no score; only labels of a dataset with such a value may hold IGNORED.
    """

    name: str
    modalities: tuple[str, ...]
    classes: tuple[str, ...]
    label_map: Mapping[int, int]
    class_values: tuple[int, ...]
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignore: int | None = None

    def __post_init__(self) -> None:
        """Raise DataError if there are more classes than class indices, or if the ignored value is that of a class."""
        problems = []
        if len(self.classes) > 1 + MOST_CLASSES:
            what = f"{len(self.classes) - 1} classes besides the background; at most {MOST_CLASSES} are supported"
            problems.append(Problem(f"dataset {self.name}", what, _FEWER))
        if self.ignore is not None and (self.ignore in self.label_map or self.ignore == 0):
            meant = self.classes[self.label_map.get(self.ignore, 0)] if self.ignore else "background"
            what = f"the value {self.ignore} cannot be ignored, because it is also that of {meant}"
            problems.append(Problem("dataset.ignore", what, _OTHER_VALUE))
        raise_all(problems, DataError)

    @property
    def has_ignored(self) -> bool:
        """Whether labels may hold IGNORED."""
        return self.ignore is not None


@dataclass(frozen=True, slots=True)
class Task:
    """A network's task: input channels, classes (including background), and patch size in voxels.

    ``regions`` are the outputs of networks, with their class indices, if these are overlapping regions instead of
    classes. ``spacing`` is the voxel size in mm along the patch's axes if all images are resampled to it.
    """

    in_channels: int
    classes: tuple[str, ...]
    patch_size: Shape
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    spacing: tuple[float, ...] | None = None

    @property
    def out_channels(self) -> int:
        """Number of outputs: classes, including background, or regions."""
        return len(self.regions or self.classes)

    @property
    def spatial_dims(self) -> int:
        """Number of spatial axes."""
        return len(self.patch_size)
