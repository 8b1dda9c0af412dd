"""Named policies for the value of a raw score in a mean."""

import math
from collections.abc import Callable, Mapping

from semiseg.errors import ArgumentError
from semiseg.scoring.score_case import Score

Policy = Callable[[Score], float]
"""Returns a score's value in a mean; nan if excluded, which the summary counts."""


def _image_diagonal(score: Score) -> float:
    if math.isinf(score.value) and score.is_distance:
        return score.image_diagonal
    return _exclude(score)


def _exclude(score: Score) -> float:
    return score.value if math.isfinite(score.value) else math.nan


POLICIES: Mapping[str, Policy] = {"image_diagonal": _image_diagonal, "exclude": _exclude}
"""Treatment of values that are not finite.

image_diagonal: an infinite distance (a missed or spurious structure) counts as the diagonal of the image, the largest
possible distance in it; an undefined value (both masks empty) is excluded and counted.
exclude: all of them are excluded and counted. This may favor a method that finds fewer structures.
"""


def find_policy(name: str) -> Policy:
    """Return the policy of this name. Raises ArgumentError, with the known names, if there is none."""
    if name not in POLICIES:
        raise ArgumentError(f"Unknown policy {name!r}.", f"Known: {', '.join(POLICIES)}.")
    return POLICIES[name]
