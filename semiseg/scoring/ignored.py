"""Ignored voxels of a reference, which are left out of the scores."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.messages import counted
from semiseg.types import IGNORED

if TYPE_CHECKING:
    from semiseg.scoring.score_case import Score


@dataclass(frozen=True, slots=True)
class Ignored:
    """The number of ignored voxels of a reference, and a digest of their positions; 0 and "" if there are none."""

    count: int = 0
    digest: str = ""

    def added_to(self, digest: str) -> str:
        """Return a digest of a mask and of the ignored voxels; unchanged if there are none."""
        if not self.count:
            return digest
        return hashlib.blake2b(f"{digest} {self.digest}".encode(), digest_size=8).hexdigest()


def without_ignored(
    reference: NDArray[Any], prediction: NDArray[Any], case: str
) -> tuple[NDArray[Any], NDArray[Any], Ignored]:
    """Return both labels (X, Y, Z) with background where the reference is IGNORED, and what was left out.

    Labels of different shapes are returned unchanged. Raises DataError if the prediction is IGNORED elsewhere.
    """
    ignored = reference == IGNORED
    count = int(np.count_nonzero(ignored))
    if reference.shape == prediction.shape:
        wrong = int(np.count_nonzero((prediction == IGNORED) & ~ignored))
        if wrong:
            what = f"{wrong:,} voxels have the ignored value where the reference has another"
            raise DataError(Problem(f"case {case}, prediction", what, "Predict a class, or background, there."))
        if count:
            reference, prediction = np.where(ignored, 0, reference), np.where(ignored, 0, prediction)
    digest = hashlib.blake2b(np.packbits(ignored).data, digest_size=8).hexdigest() if count else ""
    return reference, prediction, Ignored(count, digest)


def count_ignored(scores: Iterable["Score"]) -> dict[str, int]:
    """Return the number of ignored voxels, and of cases that have some: ``voxels`` and ``cases``; empty if none."""
    by_case = {score.case: score.n_ignored for score in scores if score.n_ignored}
    return {"voxels": sum(by_case.values()), "cases": len(by_case)} if by_case else {}


def ignored_note(summary: Mapping[str, Any]) -> str:
    """Return a sentence on the ignored voxels in a summary of scores (``summarize``); empty if there are none."""
    found = summary.get("ignored")
    if not found:
        return ""
    are = "is" if found["voxels"] == 1 else "are"
    return f"{counted(found['voxels'], 'voxel')} of {counted(found['cases'], 'case')} {are} ignored."
