"""Whether models have learned to segment at all, or do no better than chance may."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from semiseg.comparison.read import ScoredRun

CHANCE = 0.1
"""The mean Dice up to which a model counts as untrained.

Labeling every voxel of an image as one class gives a Dice of 2p / (1 + p), where p is the class's share of the image:
0.1 where that is 5 %. Most structures fill less. Scores do not hold the sizes of images, so p is not known, and the
value is fixed. Of structures that fill more, untrained models may have more.
"""


def foreground_dice(run: ScoredRun) -> float | None:
    """A run's Dice, over cases by class and then over classes; over regions where there is no class.

    Of structures that the reference has: to find nothing where there is nothing takes no training, and conventions
    differ in what it counts. A value that is not finite counts 0. None where the run has no Dice of a structure.
    """
    found = [score for key, score in run.scores.items() if key[0].partition(" ")[0] == "dice" and score.n_reference]
    averaged = [score for score in found if score.kind == "class"] or found
    values: dict[str, list[float]] = {}
    for score in averaged:
        values.setdefault(score.class_name, []).append(score.value if math.isfinite(score.value) else 0.0)
    return float(np.mean([np.mean(column) for column in values.values()])) if values else None


def best_dice(runs: Iterable[ScoredRun]) -> float | None:
    """The best of the runs' ``foreground_dice``; None where a run has none, so that nothing can be said of all."""
    found = [foreground_dice(run) for run in runs]
    known = [value for value in found if value is not None]
    return max(known) if known and len(known) == len(found) else None


def are_untrained(runs: Sequence[ScoredRun]) -> bool:
    """Whether none of the runs has a Dice above ``CHANCE``; not where it is not known of all."""
    best = best_dice(runs)
    return best is not None and best <= CHANCE


def nothing_learned(who: str, dice: float) -> str:
    """What to say where no model has learned to segment; ``who`` is the best one, whose Dice it is."""
    return f"No model here has learned to segment: {who} has {dice_text(dice)}. Nothing is concluded. Train longer."


def dice_text(dice: float) -> str:
    """A Dice that may be chance, in words."""
    return f"a Dice of {dice:.2f} (up to {CHANCE:g} may be chance)"
