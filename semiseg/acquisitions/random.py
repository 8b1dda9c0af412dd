"""Random order: the control that every other rule has to beat."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from semiseg.interfaces.acquisition import Acquisition, Candidate, Choice, Features


class Random(Acquisition):
    """Draws cases at random, by the seed: the control for other rules."""

    members: ClassVar[int] = 0

    def choose(
        self,
        candidates: Sequence[Candidate],
        n: int,
        generator: np.random.Generator,
        labeled: Sequence[Features] = (),
    ) -> Sequence[Choice]:
        """Return ``n`` candidates drawn without replacement."""
        ordered = sorted(candidates, key=lambda one: one.patient)
        reason = f"drawn at random from {len(ordered)}"
        return [Choice(ordered[index], math.nan, reason) for index in generator.permutation(len(ordered))[:n]]
