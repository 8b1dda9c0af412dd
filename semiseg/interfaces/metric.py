"""The metric interface: a number for one class of one case, and its value where a mask is empty."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from semiseg.interfaces.component import Component
from semiseg.types import Shape, Unit

Status = Literal["ok", "missed", "spurious", "both_empty"]


@dataclass(frozen=True, slots=True, eq=False)
class MaskPair:
    """Reference and prediction of one class, boolean, cut to a box that holds both.

    ``spacing`` is the voxel size along each axis in ``unit``; ``image_shape`` is the shape of the whole image.
    """

    reference: NDArray[np.bool_]
    prediction: NDArray[np.bool_]
    spacing: tuple[float, float, float]
    unit: Unit
    image_shape: Shape
    n_reference: int
    n_prediction: int

    @property
    def status(self) -> Status:
        """Missed: only the reference has voxels; spurious: only the prediction has; both_empty: neither."""
        if self.n_reference and self.n_prediction:
            return "ok"
        if self.n_reference:
            return "missed"
        return "spurious" if self.n_prediction else "both_empty"

    @property
    def image_diagonal(self) -> float:
        """Length of the image's diagonal, in ``unit``."""
        return math.hypot(*(n * s for n, s in zip(self.image_shape, self.spacing, strict=True)))


class Metric(Component, ABC):
    """A number for one class of one case. It imports no torch: ``semiseg evaluate`` runs without."""

    distance: ClassVar[bool] = False
    """True where the value is a length: its unit is the image's, and the empty-mask policy replaces infinity."""
    higher_is_better: ClassVar[bool] = True
    version: ClassVar[int] = 1
    """To be raised with every change of values: scores of different versions are not compared."""
    missed: ClassVar[float] = 0.0
    spurious: ClassVar[float] = 0.0
    both_empty: ClassVar[float] = math.nan
    """Raw values where a mask is empty. Not a number means: undefined; excluded from means, and counted."""

    def __call__(self, pair: MaskPair) -> float:
        """The value of any pair: ``value`` where both masks have voxels, else the declared one."""
        if pair.status == "ok":
            return self.value(pair)
        return float(getattr(self, pair.status))

    @abstractmethod
    def value(self, pair: MaskPair) -> float:
        """The value where both masks have voxels."""
