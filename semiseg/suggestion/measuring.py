"""What the networks say about a case: its uncertainty, piece by piece, and its features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiseg.engine.memory import NEW_IMAGE_FIX, raising_on_oom
from semiseg.inference.windows import Part
from semiseg.interfaces.acquisition import Acquisition
from semiseg.interfaces.dataset import Dataset
from semiseg.io.orientation import to_ras
from semiseg.suggestion.networks import Networks
from semiseg.types import Case, Geometry, Volume

STEPS = 32767
"""Steps from 0 to 1 of an uncertainty map, whose voxels are int16 with the slope 1 / 32767."""


@dataclass(frozen=True)
class Measured:
    """A case's numbers: ``uncertainty`` per voxel that any network predicts as foreground; ``empty`` if there is none.

    ``features`` are (F,), or None if the rule does not use them.
    """

    uncertainty: float = 0.0
    empty: bool = False
    features: tuple[float, ...] | None = None

    def record(self, case: str) -> dict[str, Any]:
        """Return it as JSON."""
        features = None if self.features is None else [*self.features]
        return {"case": case, "uncertainty": self.uncertainty, "empty": self.empty, "features": features}

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> "Measured":
        """Return what ``record`` made JSON of."""
        features = record["features"]
        return cls(record["uncertainty"], record["empty"], None if features is None else tuple(features))


@dataclass(frozen=True)
class Predicted:
    """A case predicted: its image, class indices (X, Y, Z) uint8, and uncertainty (X, Y, Z) int16 in STEPS."""

    image: Volume
    labels: NDArray[np.uint8]
    uncertainty: NDArray[np.int16]


class Measuring:
    """Measures and predicts cases by a rule's uncertainty."""

    def __init__(self, rule: Acquisition, shown: Acquisition, networks: Networks, device: torch.device) -> None:
        """Set up; ``shown`` is the rule of uncertainty maps, which is ``rule`` unless that needs no predictions."""
        self.rule, self.shown, self.networks, self.device = rule, shown, networks, device

    def measure(self, case: Case, dataset: Dataset) -> Measured:
        """Return a case's numbers, as far as the rule needs them. Raises DataError, TrainingError."""
        volume, where = dataset.read_image(case), f"case {case.id}"
        features = self._features(volume, where) if self.rule.uses_features else None
        if not self.rule.members:
            return Measured(features=features)
        total, foreground = 0.0, 0

        def receive(_: Part, each: Sequence[Tensor]) -> None:
            nonlocal total, foreground
            total += float(self.rule.uncertainty(each, self.networks.coding).double().sum())
            predicted = torch.stack([self.networks.coding.decide(values) > 0 for values in each])
            foreground += int(predicted.any(0).sum())

        with raising_on_oom(self.device, NEW_IMAGE_FIX):
            self.networks.ensemble.predict(volume, where, receive_each=receive)
        return Measured(total / foreground if foreground else 0.0, not foreground, features)

    def features(self, case: Case, dataset: Dataset) -> tuple[float, ...]:
        """Return a case's features. Raises DataError."""
        return self._features(dataset.read_image(case), f"case {case.id}")

    def _features(self, volume: Volume, where: str) -> tuple[float, ...]:
        with raising_on_oom(self.device, NEW_IMAGE_FIX):
            found = self.networks.first.features(self.networks.role, volume, where)
        return tuple(found.tolist())

    def predict(self, case: Case, dataset: Dataset) -> Predicted:
        """Return a case's prediction with its uncertainty in the voxels of its file."""
        volume = dataset.read_image(case)
        found = np.zeros(volume.geometry.shape, np.int16)
        turned = to_ras(found, volume.geometry)[0]  # a view

        def receive(part: Part, each: Sequence[Tensor]) -> None:
            values = self.shown.uncertainty(each, self.networks.coding)
            turned[tuple(slice(*span) for span in part)] = (values * STEPS).round().to(torch.int16).numpy()

        with raising_on_oom(self.device, NEW_IMAGE_FIX):
            labels = self.networks.ensemble.predict(volume, f"case {case.id}", receive_each=receive)
        return Predicted(volume, labels, found)


def position_text(geometry: Geometry, axis: int, index: int) -> str:
    """Return where a slice across an axis of a grid in R, A, S is: its number, and its place for 3D Slicer's slider."""
    center = [(n - 1) / 2 for n in geometry.shape]
    center[axis] = index
    place = float((geometry.affine @ [*center, 1.0])[axis])
    letters = ("LR", "PA", "IS")[axis]
    return f"{letters[place >= 0]} {abs(place):.1f} mm" if geometry.unit == "mm" else ""
