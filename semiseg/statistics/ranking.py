"""Stability of the ranking of methods under other cases and seeds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from semiseg.statistics.paired import without_noise


@dataclass(frozen=True, slots=True)
class Stability:
    """Ranks of methods and their stability over samples; 1 is the best, ties share their average rank.

    Attributes:
        ranks: ranks in the data.
        first: fraction of samples in which a method is first; methods that tie for it share the sample.
        mean_ranks: mean over samples.
        intervals: 2.5 % and 97.5 % quantiles of each method's rank over samples.
        tau: mean of Kendall's tau-b between a sample's order and the data's; None if all methods tie.
    """

    ranks: list[float]
    first: list[float]
    mean_ranks: list[float]
    intervals: list[tuple[float, float]]
    tau: float | None


def rank_stability(
    means: NDArray[np.float64], samples: NDArray[np.float64], *, higher_is_better: bool, level: float = 0.95
) -> Stability:
    """Rank the methods by their means (methods,), and over bootstrap samples (samples, methods) of these.

    Source: M. Wiesenfarth et al., Methods and open-source toolkit for analyzing and visualizing challenge results,
    Scientific Reports 11, 2021. tau-b: M. G. Kendall, The treatment of ties in ranking problems, Biometrika 33, 1945.
    """
    direction = -1 if higher_is_better else 1
    largest = float(np.abs(samples).max(initial=float(np.abs(means).max())))
    full = rankdata(direction * without_noise(means, largest))
    ranks = rankdata(direction * without_noise(samples, largest), axis=1)
    leading = ranks == ranks.min(axis=1, keepdims=True)
    low, high = np.quantile(ranks, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Stability(
        full.tolist(),
        (leading / leading.sum(axis=1, keepdims=True)).mean(axis=0).tolist(),
        ranks.mean(axis=0).tolist(),
        list(zip(low.tolist(), high.tolist(), strict=True)),
        _mean_tau(full, ranks),
    )


def _mean_tau(full: NDArray[np.float64], ranks: NDArray[np.float64]) -> float | None:
    """Return the mean over rows; scipy's kendalltau would take seconds for ten thousand of them."""
    first, second = np.triu_indices(len(full), k=1)
    ours, theirs = np.sign(full[first] - full[second]), np.sign(ranks[:, first] - ranks[:, second])
    untied = np.abs(ours).sum() * np.abs(theirs).sum(axis=1)
    agreement = (theirs @ ours)[untied > 0] / np.sqrt(untied[untied > 0])
    return float(agreement.mean()) if len(agreement) else None
