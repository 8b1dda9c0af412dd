"""Detection of untrained models, whose Dice may be chance."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from semiseg.comparison.read import ScoredRun

CHANCE = 0.1
"""The mean Dice up to which a model counts as untrained.

Labeling every voxel of an image as one class gives a Dice of 2p / (1 + p), where p is the class's fraction of the
image: 0.1 at 5 %. Most structures are smaller. Scores do not include image sizes, so p is unknown and the value is
fixed. For larger structures, untrained models may score higher.
"""


def foreground_dice(run: ScoredRun) -> float | None:
    """Return a run's Dice, averaged over cases by class and then over classes; over regions if there are no classes.

    It covers only structures in the reference: finding nothing where there is nothing takes no training, and
    conventions differ in its value. A non-finite value counts as 0. None if the run has no Dice of a structure.
    """
    found = [score for key, score in run.scores.items() if key[0].partition(" ")[0] == "dice" and score.n_reference]
    averaged = [score for score in found if score.kind == "class"] or found
    values: dict[str, list[float]] = {}
    for score in averaged:
        values.setdefault(score.class_name, []).append(score.value if math.isfinite(score.value) else 0.0)
    return float(np.mean([np.mean(column) for column in values.values()])) if values else None


def best_dice(runs: Iterable[ScoredRun]) -> float | None:
    """Return the best ``foreground_dice`` of the runs; None if a run has none, since nothing holds for all then."""
    found = [foreground_dice(run) for run in runs]
    known = [value for value in found if value is not None]
    return max(known) if known and len(known) == len(found) else None


def are_untrained(runs: Sequence[ScoredRun]) -> bool:
    """Return whether all runs have a known Dice of at most ``CHANCE``."""
    best = best_dice(runs)
    return best is not None and best <= CHANCE


def nothing_learned(who: str, dice: float) -> str:
    """Return a message that no model has learned to segment; ``who`` is the best one and ``dice`` its Dice."""
    return f"No model here has learned to segment: {who} has {dice_text(dice)}. No conclusions are drawn. Train longer."


def dice_text(dice: float) -> str:
    """Describe a Dice that may be chance."""
    return f"a Dice of {dice:.2f} (up to {CHANCE:g} may be chance)"
