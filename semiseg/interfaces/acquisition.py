"""The acquisition interface: which unlabeled cases are worth labeling next, for a model that exists."""

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from semiseg.codings.coding import Coding
from semiseg.interfaces.component import Component

Features = NDArray[np.float64]
"""What a network's encoder says about an image, as one vector."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A patient without labels, whose cases are labeled together or not at all.

    Attributes:
        patient: the patient.
        cases: ids of the patient's cases.
        uncertainty: mean over the cases in which a structure is predicted. That of a case is the sum of its voxels'
            uncertainty, divided by the number of voxels that any network predicts as foreground: otherwise an image
            with much background would count as certain. 0 if nothing was predicted.
        empty: ids of the cases in which no network predicts a structure; their uncertainty is not defined.
        features: mean over the cases, (F,); None unless the rule has ``uses_features``.
    """

    patient: str
    cases: tuple[str, ...]
    uncertainty: float = 0.0
    empty: tuple[str, ...] = ()
    features: Features | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A chosen candidate, and why it was chosen.

    Attributes:
        candidate: the candidate.
        score: the number that decided; NaN if no number did.
        reason: the reason in plain words, with numbers.
    """

    candidate: Candidate
    score: float
    reason: str


class Acquisition(Component, ABC):
    """A rule that ranks unlabeled cases, used by ``semiseg suggest --by NAME``.

    A rule overrides ``uncertainty``, ``choose`` or both: with ``uncertainty`` alone, the most uncertain come first.
    """

    members: ClassVar[int] = 1
    """The least number of networks that have to predict each case; 0 if the rule needs no predictions."""
    uses_features: ClassVar[bool] = False
    """True if the rule needs the features of candidates. Only networks with the capability "split" offer them."""

    def __init_subclass__(cls, **arguments: object) -> None:
        """Require ``uncertainty`` of rules that need predictions, and ``choose`` of those that do not."""
        super().__init_subclass__(**arguments)
        name = "uncertainty" if cls.members else "choose"
        if getattr(cls, name) is getattr(Acquisition, name):
            raise TypeError(f"{cls.__qualname__} has members = {cls.members}, so it has to define `{name}`.")

    def uncertainty(self, probabilities: Sequence[Tensor], coding: Coding) -> Tensor:
        """Return the uncertainty of each voxel of a part of an image, (x, y, z) float32 from 0 to 1.

        It is 0 where all networks are certain of the same, and does not depend on their order. Only called if
        ``members`` is not 0.

        Args:
            probabilities: of each network, (K, x, y, z) float32; at least ``members`` of them.
            coding: what they mean; ``coding.states`` and ``coding.decide`` treat classes and regions alike.
        """
        raise NotImplementedError

    def choose(
        self,
        candidates: Sequence[Candidate],
        n: int,
        generator: np.random.Generator,
        labeled: Sequence[Features] = (),
    ) -> Sequence[Choice]:
        """Return the best ``n`` candidates, or all if there are fewer, each once, the best first.

        The result does not depend on the order of the candidates and, apart from the generator, not on chance. By
        default, those with cases without any predicted structure come first, then the most uncertain ones, and equal
        ones by patient.

        Args:
            candidates: the candidates.
            n: how many to choose.
            generator: the only source of randomness.
            labeled: features of the labeled cases, if the rule uses features and they are known.
        """
        return by_uncertainty(candidates)[:n]


def by_uncertainty(candidates: Sequence[Candidate]) -> list[Choice]:
    """Return all candidates, the most uncertain first, as described in ``Acquisition.choose``."""
    order = sorted(candidates, key=lambda one: (not one.empty, -one.uncertainty, one.patient))
    return [Choice(one, one.uncertainty, _reason(one)) for one in order]


def _reason(candidate: Candidate) -> str:
    mean = f"mean uncertainty {candidate.uncertainty:.3f} per predicted foreground voxel"
    empty, count = len(candidate.empty), len(candidate.cases)
    if not empty:
        return mean
    if count == 1:
        return "no network predicts any structure"
    where = f"no network predicts any structure in {empty} of {count} cases"
    return f"{where}; {mean} in the others" if empty < count else where
