"""Plain records that travel between the rooms. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]
Unit = Literal["mm", "voxel"]


@dataclass(frozen=True, slots=True)
class Case:
    """One scan: its image files in the dataset's modality order, and its label file if there is one.

    One multi-channel file may hold all modalities; then ``images`` has one path. ``patient`` groups the cases
    that must stay on one side of a split.
    """

    id: str
    images: tuple[Path, ...]
    label: Path | None = None
    patient: str = ""

    def __post_init__(self) -> None:
        if not self.patient:
            object.__setattr__(self, "patient", self.id)

    def without_label(self) -> "Case":
        """The same scan as an unlabeled case: it does not know where a label is."""
        return replace(self, label=None)


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """A voxel grid: its shape, and the affine (4, 4) float64 from voxel indices to RAS+ world coordinates.

    ``unit`` is "voxel" where the file stores no spacing: distances are then in voxels and are labeled so.
    """

    shape: Shape
    affine: NDArray[np.float64]
    unit: Unit = "mm"

    @property
    def spacing(self) -> tuple[float, float, float]:
        """The size of a voxel along each array axis, in ``unit``."""
        x, y, z = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return float(x), float(y), float(z)

    def difference(self, other: "Geometry", tolerance: float = 1e-3) -> str:
        """How the two grids differ, in words; empty where they agree to ``tolerance`` (in ``unit``)."""
        if self.shape != other.shape:
            return f"shape {self.shape} against {other.shape}"
        if not np.allclose(self.affine, other.affine, rtol=0, atol=tolerance):
            rows = [np.array2string(g.affine[:3], precision=4, separator=", ") for g in (self, other)]
            return "affine {} against {}".format(*(r.replace("\n", "") for r in rows))
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxels with their grid: (C, X, Y, Z) for an image, (X, Y, Z) class indices (uint8) for a label."""

    array: NDArray[Any]
    geometry: Geometry


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What a dataset's voxels mean.

    ``classes`` are names by class index, background first. ``label_map`` takes each stored value to its class
    index; ``class_values`` is what is written for each class index. ``regions`` are unions of classes that the field
    scores beside them, by name: the names of their classes.
    """

    name: str
    modalities: tuple[str, ...]
    classes: tuple[str, ...]
    label_map: Mapping[int, int]
    class_values: tuple[int, ...]
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """What a network has to do: channels in, classes out (background counted), patch size in voxels."""

    in_channels: int
    classes: tuple[str, ...]
    patch_size: Shape

    @property
    def out_channels(self) -> int:
        """Number of classes, background counted."""
        return len(self.classes)
