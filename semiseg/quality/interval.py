"""From an agreement to an expected Dice with an interval: a line, and the hierarchical jackknife+."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.9
"""The share of new cases whose Dice should be within their interval."""
FEWEST = 10
"""The fewest patients of a calibration. With fewer than 9, an interval at this level is always 0 to 1."""
PRIOR = 10
"""The weight of the slope 1, in patients."""
_ROUNDING = 1e-9

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected Dice, and the ends of its interval, all within 0 to 1."""

    dice: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """The line Dice = offset + slope x agreement."""

    slope: float
    offset: float

    def __call__(self, agreement: float) -> float:
        """Return the Dice, which may lie outside 0 to 1."""
        return self.offset + self.slope * agreement

    @classmethod
    def through(cls, agreements: _Floats, dice: _Floats, weights: _Floats) -> "Line":
        """Return the line through points whose weights sum to the number n of patients.

        The slope is the mean of that of least squares, with the weight n, and of 1, with the weight PRIOR: the
        agreement is itself an expected Dice, and few patients tell little about the slope. It is at least 0.
        """
        share, n = weights / weights.sum(), float(weights.sum())
        x, y = float(share @ agreements), float(share @ dice)
        spread = float(share @ (agreements - x) ** 2)
        together = float(share @ ((agreements - x) * (dice - y)))
        slope = (n * together / spread + PRIOR) / (n + PRIOR) if spread > _ROUNDING**2 else 1.0
        slope = max(slope, 0.0)
        return cls(slope, y - slope * x)


class Curve:
    """The expected Dice of a class, by its agreement, from cases with known Dice.

    The interval is that of the jackknife+ with patients as units, the hierarchical one: lines are fitted without each
    patient in turn, and a case's residual counts by the share 1 / (number of the patient's cases). If a new patient is
    exchangeable with those of the calibration, the interval of one of its cases has the Dice with a probability of at
    least 1 - 2 (1 - LEVEL), and about LEVEL for stable lines such as these.

    Sources: R. F. Barber, E. J. Candès, A. Ramdas, R. J. Tibshirani, Predictive inference with the jackknife+, Annals
    of Statistics 49(1), 2021; Y. Lee, R. F. Barber, R. Willett, Distribution-free inference with hierarchical data,
    arXiv:2306.06342, 2023.
    """

    def __init__(self, agreements: Sequence[float], dice: Sequence[float], patients: Sequence[str]) -> None:
        """Fit the lines. Raises ValueError for fewer than FEWEST patients."""
        x, y = np.asarray(agreements, float), np.asarray(dice, float)
        names, unit, counts = np.unique(np.asarray(patients), return_inverse=True, return_counts=True)
        if len(names) < FEWEST:
            raise ValueError(f"{len(names)} patients; at least {FEWEST} are needed")
        weights = 1 / counts[unit]
        self.patients = len(names)
        self.least = float(x.min())
        self._line = Line.through(x, y, weights)
        without = [Line.through(*(part[unit != one] for part in (x, y, weights))) for one in range(len(names))]
        self._lines = [without[one] for one in unit]
        self._residuals = np.array([abs(b - line(a)) for a, b, line in zip(x, y, self._lines, strict=True)])
        self._weights = weights

    def __call__(self, agreement: float) -> Expected:
        """Return the expected Dice of a case; its interval always contains it."""
        middles = np.array([line(agreement) for line in self._lines])
        high = self._end(middles + self._residuals)
        low = -self._end(-(middles - self._residuals))
        dice = _within(self._line(agreement))
        return Expected(dice, min(_within(low), dice), max(_within(high), dice))

    def _end(self, values: _Floats) -> float:
        """Return the smallest value that LEVEL of n + 1 patients do not exceed, n of them with these values."""
        order = np.argsort(values)
        reached = np.cumsum(self._weights[order]) >= LEVEL * (self.patients + 1) - _ROUNDING
        return float(values[order][reached.argmax()]) if reached.any() else math.inf


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)
