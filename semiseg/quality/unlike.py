"""Cases unlike those that a run knows, by features of its encoder."""

import base64
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, model_validator

NEIGHBORS = 3
"""The nearest known cases whose mean distance is a case's own."""
MOST_TRAINING = 50
"""The most training cases whose features are kept."""
RARE = 0.02
"""A case is unlike the known ones if at most this share of them is as far from the others."""

_Floats = NDArray[np.float64]


def chosen(cases: Sequence[Any]) -> list[Any]:
    """Return at most MOST_TRAINING of some cases, evenly spread over their order."""
    if len(cases) <= MOST_TRAINING:
        return [*cases]
    return [cases[index] for index in np.linspace(0, len(cases) - 1, MOST_TRAINING).round().astype(int)]


class KnownCases(BaseModel):
    """Features of a run's training and validation cases; ``values`` is base64 of (n, F) float32, little-endian."""

    cases: list[str]
    patients: list[str]
    values: str

    @model_validator(mode="after")
    def _whole(self) -> "KnownCases":
        n, size = len(self.cases), len(base64.b64decode(self.values, validate=True))
        if not n or len(self.patients) != n or not size or size % (4 * n):
            raise ValueError("the features do not fit the cases")
        return self

    @classmethod
    def of(cls, cases: Sequence[str], patients: Sequence[str], features: Sequence[_Floats]) -> "KnownCases":
        """Return the record of features (F,) of some cases, at least two patients."""
        values = np.stack(features).astype("<f4").tobytes()
        return cls(cases=[*cases], patients=[*patients], values=base64.b64encode(values).decode())

    def likeness(self, features: _Floats) -> float:
        """Return how usual a case's features (F,) are among the known cases: the conformal p-value, above 0, to 1.

        A case's distance is the mean Euclidean one, in standard deviations of each feature, to its NEIGHBORS nearest
        known cases, without those of its patient for a known case. With m of n known cases at least as far, the value
        is (m + 1) / (n + 1).

        Source: S. Bates, E. Candès, L. Lei, Y. Romano, M. Sesia, Testing for outliers with conformal p-values, Annals
        of Statistics 51(1), 2023.
        """
        mean, scale = self._scale
        own = _nearest(np.sqrt((((features - mean) / scale - self._standard) ** 2).sum(1)))
        return float((1 + (self._distances >= own).sum()) / (1 + len(self.cases)))

    def is_unlike(self, likeness: float) -> bool:
        """Return whether a case with this likeness is unlike the known ones; of few cases, no one may be as far."""
        return likeness <= max(RARE, 1 / (1 + len(self.cases))) + 1e-12

    @cached_property
    def _features(self) -> _Floats:
        found = np.frombuffer(base64.b64decode(self.values), "<f4").astype(float)
        return found.reshape(len(self.cases), -1)

    @cached_property
    def _scale(self) -> tuple[_Floats, _Floats]:
        """Return each feature's mean and standard deviation, at least a tenth of the usual one."""
        deviation = self._features.std(0)
        usual = float(np.median(deviation)) or float(deviation.max()) or 1.0
        return self._features.mean(0), np.maximum(deviation, 0.1 * usual)

    @cached_property
    def _standard(self) -> _Floats:
        mean, scale = self._scale
        return (self._features - mean) / scale

    @cached_property
    def _distances(self) -> _Floats:
        patients = np.asarray(self.patients)
        return np.array(
            [
                _nearest(np.sqrt(((self._standard[patients != patient] - own) ** 2).sum(1)))
                for own, patient in zip(self._standard, patients, strict=True)
            ]
        )


def _nearest(distances: _Floats) -> float:
    return float(np.sort(distances)[:NEIGHBORS].mean())
