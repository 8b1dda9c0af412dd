"""The metric interface: a number for one class of one case, and its value for empty masks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from semiseg.interfaces.component import Component
from semiseg.types import Shape, Unit

Status = Literal["ok", "missed", "spurious", "both_empty"]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class MaskPair:
    """Reference and prediction of one class or region, boolean, cut to a box that contains both.

    ``spacing`` is the voxel size along each axis in ``unit``; ``image_shape`` is the shape of the whole image. Axes are
    in memory order, which may be the reverse of the image's: a metric must not depend on it. ``n_reference`` and
    ``n_prediction`` are the masks' voxel counts. A 2D image has one voxel along an axis: see ``flat``.
    """

    reference: NDArray[np.bool_]
    prediction: NDArray[np.bool_]
    spacing: tuple[float, float, float]
    unit: Unit
    image_shape: Shape
    n_reference: int = field(init=False)
    n_prediction: int = field(init=False)
    _shared: dict[Callable[[MaskPair], Any], Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_reference", int(np.count_nonzero(self.reference)))
        object.__setattr__(self, "n_prediction", int(np.count_nonzero(self.prediction)))

    def shared(self, function: Callable[[MaskPair], Result]) -> Result:
        """Return ``function(self)``, computed once for all metrics of this pair that request it.

        Use it for expensive results that several metrics share, such as distances between surfaces. The function is the
        cache key: it must be a single object, not a new lambda at each call.
        """
        if function not in self._shared:
            self._shared[function] = function(self)
        result: Result = self._shared[function]
        return result

    @property
    def status(self) -> Status:
        """Missed: only the reference has voxels; spurious: only the prediction does; both_empty: neither."""
        if self.n_reference and self.n_prediction:
            return "ok"
        if self.n_reference:
            return "missed"
        return "spurious" if self.n_prediction else "both_empty"

    @property
    def flat(self) -> tuple[bool, bool, bool]:
        """For each axis, whether the whole image has one voxel along it, so that voxels have no neighbors there.

        Borders, surfaces and distances are then those of a 2D image. An image of a single voxel is not flat.
        """
        x, y, z = (n == 1 for n in self.image_shape)
        return (False, False, False) if x and y and z else (x, y, z)

    @property
    def image_diagonal(self) -> float:
        """Length of the image's diagonal, in ``unit``; that of the slice in a 2D image."""
        sides = zip(self.image_shape, self.spacing, self.flat, strict=True)
        return math.hypot(*(n * s for n, s, flat in sides if not flat))


class Metric(Component, ABC):
    """A number for one class of one case. Does not import torch: ``semiseg evaluate`` runs without it."""

    distance: ClassVar[bool] = False
    """True if the value is a length: it has the image's unit, and the empty-mask policy replaces infinity."""
    higher_is_better: ClassVar[bool] = True
    version: ClassVar[int] = 1
    """Increase with every change of values: scores of different versions are not compared."""
    missed: float = 0.0
    spurious: float = 0.0
    both_empty: float = math.nan
    """Raw values for empty masks. NaN means undefined: excluded from means, and counted.

    A class declares its own; a preset that follows another tool's convention sets them on the object."""

    @property
    def definition(self) -> str:
        """The meaning of the values in one line: class, version, options, and values that differ from the class's.

        Scores with different definitions are not compared.
        """
        changed = {n: getattr(self, n) for n in get_args(Status) if n != "ok" and n in vars(self)}
        details = {**self.options.model_dump(mode="json"), **changed}
        said = ", ".join(f"{name}={value}" for name, value in details.items())
        return f"{type(self).__name__} {self.version}" + (f" ({said})" if said else "")

    def __call__(self, pair: MaskPair) -> float:
        """Return the value of any pair: ``value`` if both masks have voxels, else the declared one."""
        if pair.status == "ok":
            return self.value(pair)
        return float(getattr(self, pair.status))

    def title(self, name: str) -> str:
        """Return the title in tables of a metric requested as ``name``: with the options that are not the defaults."""
        changed = self.options.model_dump(mode="json", exclude_defaults=True)
        return " ".join([name, *(f"{key}={value}" for key, value in changed.items())])

    @abstractmethod
    def value(self, pair: MaskPair) -> float:
        """Return the value for masks that both have voxels."""
