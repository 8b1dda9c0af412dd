"""Core-set selection: cases that cover the images best."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from semiseg.acquisitions._feature_space import distances, standardized
from semiseg.interfaces.acquisition import Acquisition, Candidate, Choice, Features
from semiseg.messages import counted


class Diversity(Acquisition):
    """Takes the cases least like those labeled or already taken, by the network's features (core-set).

    Greedy k-center: the next case is the one farthest from its nearest labeled or taken case. Without labeled cases,
    the first is the one nearest to the mean of all.

    Source: O. Sener, S. Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR 2018,
    arXiv:1708.00489, algorithm 1; there the features are those of the last layer before the classes.
    """

    members: ClassVar[int] = 0
    uses_features: ClassVar[bool] = True

    def choose(
        self,
        candidates: Sequence[Candidate],
        n: int,
        generator: np.random.Generator,
        labeled: Sequence[Features] = (),
    ) -> Sequence[Choice]:
        """Return the centers in the order in which they are found; the score is the distance to the nearest one."""
        ordered = sorted(candidates, key=lambda one: one.patient)
        if not ordered:
            return []
        points, known = standardized(ordered, labeled)
        chosen: list[Choice] = []
        nearest = np.full(len(ordered), np.inf)
        for center in known:
            nearest = np.minimum(nearest, distances(points, center))
        left = set(range(len(ordered)))
        while left and len(chosen) < n:
            if chosen or len(known):
                index = max(left, key=lambda i: (nearest[i], -i))
                score = float(nearest[index])
                reason = f"distance {score:.2f} to the nearest of {_centers(len(known), len(chosen))}"
            else:
                middle = distances(points, points.mean(axis=0))
                index = min(left, key=lambda i: (middle[i], i))
                score = float(middle[index])
                reason = f"most typical of all: distance {score:.2f} to their mean, as no labeled case is known"
            chosen.append(Choice(ordered[index], score, reason))
            nearest = np.minimum(nearest, distances(points, points[index]))
            left.remove(index)
        return chosen


def _centers(labeled: int, chosen: int) -> str:
    parts = [counted(labeled, "labeled case")] if labeled else []
    return " and ".join([*parts, *([f"{chosen} already suggested"] if chosen else [])])
