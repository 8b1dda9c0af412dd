"""Pairs of masks of a class or region, from two labels."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.interfaces.metric import MaskPair
from semiseg.scoring.masks.boxes import Box, class_boxes, union
from semiseg.types import Geometry

Labels = NDArray[np.uint8]
Kind = Literal["class", "region"]


@dataclass(frozen=True, slots=True)
class Target:
    """A class, or a region made of several, with its class indices."""

    name: str
    kind: Kind
    indices: tuple[int, ...]


class LabelPair:
    """Reference and prediction (X, Y, Z) uint8 of one case, holding indices below ``n_classes``."""

    def __init__(self, reference: Labels, prediction: Labels, geometry: Geometry, n_classes: int) -> None:
        # NIfTI arrays are in Fortran order, in which every pass takes twice the time. Metrics do not depend on the
        # order of axes, so the arrays are transposed instead of copied.
        self._turned = reference.flags.f_contiguous and not reference.flags.c_contiguous
        self._arrays = [np.ascontiguousarray(array.T if self._turned else array) for array in (reference, prediction)]
        self._boxes = [class_boxes(array, n_classes) for array in self._arrays]
        self._n_classes, self._unit = n_classes, geometry.unit
        (x, y, z), (sx, sy, sz) = geometry.shape, geometry.spacing
        self._shape, self._spacing = ((z, y, x), (sz, sy, sx)) if self._turned else ((x, y, z), (sx, sy, sz))

    def masks(self, target: Target) -> MaskPair:
        """Return the masks of a class or region, cropped to their common box: metrics never process the whole image."""
        box = union(self._box(side, target) for side in (0, 1))
        reference, prediction = (self._mask(array[box], target) for array in self._arrays)
        return MaskPair(reference, prediction, self._spacing, self._unit, self._shape)

    def reference_digest(self, target: Target) -> str:
        """Return a digest, equal for the same voxels on the same grid in any memory order."""
        box = self._box(0, target) or union([])
        mask = self._mask(self._arrays[0][box], target)
        grid = [(s.start, n, f"{size:.4f}") for s, n, size in zip(box, self._shape, self._spacing, strict=True)]
        if self._turned:
            mask, grid = mask.T, grid[::-1]
        digest = hashlib.blake2b(repr((mask.shape, grid)).encode(), digest_size=8)
        digest.update(np.packbits(mask).data)
        return digest.hexdigest()

    def _box(self, side: int, target: Target) -> Box | None:
        found = [self._boxes[side][index - 1] for index in target.indices]
        return union(found) if any(found) else None

    def _mask(self, labels: Labels, target: Target) -> NDArray[np.bool_]:
        if len(target.indices) == 1:
            return np.equal(labels, target.indices[0])
        table = np.zeros(self._n_classes, dtype=np.bool_)
        table[list(target.indices)] = True
        return np.take(table, labels)
