"""Uncertain cases that are unlike each other."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import Field

from semiseg.acquisitions._feature_space import Points, distances, standardized
from semiseg.acquisitions.entropy import Entropy
from semiseg.interfaces.acquisition import Candidate, Choice, Features, by_uncertainty
from semiseg.interfaces.component import ComponentOptions

_MOST_ROUNDS = 100


class HybridOptions(ComponentOptions):
    """Options of ``hybrid``."""

    pool: int = Field(default=4, ge=1)
    """The candidates that are clustered, as a multiple of the number to suggest: the most uncertain ones. 1 is
    ``entropy``."""


class Hybrid(Entropy):
    """Takes the most uncertain case, by entropy, of each group of similar ones among the most uncertain.

    The ``pool`` times n most uncertain candidates are divided into n clusters by their features (k-means).

    Source: F. Zhdanov, "Diverse mini-batch active learning", 2019, arXiv:1901.05954; there the case nearest to each
    cluster's center is taken, and cases are weighted by their uncertainty.
    """

    Options = HybridOptions
    uses_features: ClassVar[bool] = True

    def choose(
        self,
        candidates: Sequence[Candidate],
        n: int,
        generator: np.random.Generator,
        labeled: Sequence[Features] = (),
    ) -> Sequence[Choice]:
        """Return the most uncertain candidate of each cluster, by uncertainty, then the most uncertain of the others.

        The others are only needed where there are fewer clusters than ``n``: of candidates with the same features.
        """
        ranked = by_uncertainty(candidates)
        pool = ranked[: self.options.pool * n]
        if not pool:
            return []
        points, _ = standardized([choice.candidate for choice in pool])
        groups = _clusters(points, min(n, len(pool)), generator)
        firsts = [group[0] for group in groups]
        rest = [index for index in range(len(pool)) if index not in firsts]
        size = {group[0]: len(group) for group in groups}
        return [
            Choice(pool[index].candidate, pool[index].score, f"{pool[index].reason}; {_role(size.get(index, 0))}")
            for index in [*sorted(firsts), *rest][:n]
        ]


def _role(size: int) -> str:
    if not size:
        return "its group is already suggested"
    return "unlike all others of the most uncertain" if size == 1 else f"the most uncertain of a group of {size}"


def _clusters(points: Points, count: int, generator: np.random.Generator) -> list[list[int]]:
    """Return the indices of points by cluster, ascending in each: k-means, begun by k-means++, until nothing changes.

    Fewer clusters than ``count`` if fewer points are different.
    """
    centers = _spread(points, count, generator)
    own = np.zeros(len(points), np.intp)
    for _ in range(_MOST_ROUNDS):
        moved = np.argmin([distances(points, center) for center in centers], axis=0)
        if np.array_equal(moved, own):
            break
        own = moved
        centers = [points[own == number].mean(axis=0) for number in np.unique(own)]
        own = np.searchsorted(np.unique(own), own)
    return [np.flatnonzero(own == number).tolist() for number in np.unique(own)]


def _spread(points: Points, count: int, generator: np.random.Generator) -> list[Points]:
    """Return the first centers: the first point, then points drawn by their squared distance to the nearest center."""
    centers = [points[0]]
    while len(centers) < count:
        nearest = np.min([distances(points, center) for center in centers], axis=0) ** 2
        if not nearest.any():
            break
        centers.append(points[generator.choice(len(points), p=nearest / nearest.sum())])
    return centers
