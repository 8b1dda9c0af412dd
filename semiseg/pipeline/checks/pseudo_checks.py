"""Checks of another model's pseudo-labels (``dataset.pseudo_labels``): every file of an unlabeled case."""

from collections.abc import Mapping, Sequence

import numpy as np

from semiseg.data.pseudo.files import PseudoFile, PseudoFiles
from semiseg.data.pseudo.reading import check_headers, read_pseudo
from semiseg.data.verify import problems_of
from semiseg.errors import DataError, Problem
from semiseg.interfaces.dataset import Dataset
from semiseg.messages import some
from semiseg.progress import Reporter
from semiseg.threads import in_threads
from semiseg.types import IGNORED, Case


class PseudoCheck:
    """Reads the pseudo-labels of a split's unlabeled cases, and keeps how many of their voxels are ignored."""

    def __init__(self, dataset: Dataset, files: PseudoFiles | None, unlabeled: Sequence[Case]) -> None:
        self._dataset, self._info, self._files = dataset, dataset.info(), files
        self._n_unlabeled = len(unlabeled)
        self._by_case: Mapping[str, PseudoFile] = {} if files is None else files.by_case
        self._cases = [case for case in unlabeled if case.id in self._by_case]
        self._ignored: dict[str, tuple[int, int]] = {}

    def problems(self, reporter: Reporter, quick: bool) -> list[Problem]:
        """Return everything that is wrong with the files; ``quick``: with their headers."""
        if not self._cases:
            return []
        with reporter.work("reading pseudo-labels", len(self._cases), unit="case") as meter:
            found = in_threads(
                lambda case: problems_of(case, lambda: self._check(case, quick)), self._cases, progress=meter.advance
            )
        return [problem for problems in found for problem in problems]

    def _check(self, case: Case, quick: bool) -> None:
        try:
            grid = self._dataset.read_geometry(case)
        except DataError:  # reported with the images
            return
        file = self._by_case[case.id]
        if quick:
            check_headers(file, grid)
            return
        label, confidence = read_pseudo(file, self._info, grid)
        ignored = label == IGNORED
        if confidence is not None and self._files is not None and self._files.threshold is not None:
            ignored |= confidence < self._files.threshold
        self._ignored[case.id] = int(np.count_nonzero(ignored)), ignored.size

    def describe(self) -> list[str]:
        """Return a line on the files that are used, if any are."""
        if self._files is None or not self._n_unlabeled:
            return []
        line = f"Pseudo-labels: {len(self._cases)} of {self._n_unlabeled} unlabeled cases, from {self._files.folder}"
        n_ignored, n_voxels = (sum(counts[place] for counts in self._ignored.values()) for place in (0, 1))
        if n_ignored:
            below = "" if self._files.threshold is None else f" (confidence below {self._files.threshold:g})"
            line += f"; {n_ignored / n_voxels:.1%} of their voxels are ignored{below}"
        return [line]

    def notes(self) -> list[str]:
        """Return a note on pseudo-labels that have nothing but ignored voxels."""
        unsure = sorted(case_id for case_id, (n_ignored, n_voxels) in self._ignored.items() if n_ignored == n_voxels)
        if not unsure:
            return []
        has = "1 pseudo-label has" if len(unsure) == 1 else f"{len(unsure)} pseudo-labels have"
        return [f"{has} only ignored voxels, so that no loss uses these cases: {some(unsure, 5)}"]
