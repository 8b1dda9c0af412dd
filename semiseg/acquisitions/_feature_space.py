"""Candidates as points in the space of their features."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semiseg.interfaces.acquisition import Candidate, Features

Points = NDArray[np.float64]


def standardized(candidates: Sequence[Candidate], labeled: Sequence[Features] = ()) -> tuple[Points, Points]:
    """Return the features of candidates (n, F) and of labeled cases (m, F), each with mean 0 and standard deviation 1.

    Both together; a feature that is the same for all becomes 0. Distances are divided by the square root of F, so that
    they do not grow with the size of the encoder: two unrelated images are about 1.4 apart.
    """
    rows = [one.features for one in candidates]
    if any(row is None for row in rows):
        raise ValueError("this rule needs the features of every candidate")
    points = np.array([*rows, *labeled], np.float64)
    spread = points.std(axis=0)
    points = (points - points.mean(axis=0)) / np.where(spread > 0, spread, 1) / np.sqrt(points.shape[1])
    return points[: len(rows)], points[len(rows) :]


def distances(points: Points, center: Points) -> Points:
    """Return the Euclidean distance of each point (n, F) to a center (F,)."""
    return np.asarray(np.sqrt(((points - center) ** 2).sum(axis=1)))
