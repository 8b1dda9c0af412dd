"""Named policies: what a raw value counts in a mean."""

import math
from collections.abc import Callable, Mapping

from semiseg.errors import ArgumentError
from semiseg.scoring.harness import Score

Policy = Callable[[Score], float]
"""The value that a score counts in a mean; nan where it is left out, which the summary counts."""


def _image_diagonal(score: Score) -> float:
    if math.isinf(score.value) and score.is_distance:
        return score.image_diagonal
    return _exclude(score)


def _exclude(score: Score) -> float:
    return score.value if math.isfinite(score.value) else math.nan


POLICIES: Mapping[str, Policy] = {"image_diagonal": _image_diagonal, "exclude": _exclude}
"""What happens to a value that is not finite.

image_diagonal: an infinite distance (a missed or spurious structure) counts the diagonal of the image, the largest
distance there can be in it; an undefined value (both masks empty) is left out and counted.
exclude: all of them are left out and counted. A method that finds fewer structures may look better by it.
"""


def find_policy(name: str) -> Policy:
    """The policy of this name. Raises ArgumentError, with the known names, where there is none."""
    if name not in POLICIES:
        raise ArgumentError(f"Unknown policy {name!r}.", f"Known: {', '.join(POLICIES)}.")
    return POLICIES[name]
