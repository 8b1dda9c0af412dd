"""The cases that rules choose, with their images where MONAI Label finds them."""

import logging
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import semiseg
from semiseg.errors import DataError, Problem
from semiseg.progress import Reporter
from semiseg_monai_label.settings import Served

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")
"""Endings of the images that are served: volumes in a single file."""


class SuggestedCase(Protocol):
    """A case of a suggestion: id, rank, reason, and files relative to its folder."""

    case: str
    rank: int
    reason: str
    image: tuple[str, ...]
    proposal: str


class LogReporter(Reporter):
    """Reports to the server's log."""

    def say(self, text: str) -> None:
        """Log one line."""
        logging.getLogger(__name__).info(text)


@dataclass
class Rounds:
    """The suggestions of an app, each made when its rule is first used."""

    served: Served
    reporter: Reporter
    _made: dict[str, list[Any]] = field(default_factory=dict)
    _served: dict[Path, tuple[str, list[Path]]] = field(default_factory=dict)

    def cases(self, rule: str) -> list[SuggestedCase]:
        """Return the cases of a rule, the best first; the first call measures all candidates. Raises SemisegError."""
        if rule not in self._made:
            self._made[rule] = self._suggest(rule)
        return self._made[rule]

    def next_case(self, rule: str, finished: Collection[str]) -> SuggestedCase | None:
        """Return the case that a rule ranks first among those that are not finished; None if all are."""
        return next((one for one in self.cases(rule) if one.case not in finished), None)

    def case_of(self, image: Path) -> tuple[str, list[Path]]:
        """Return the case of a served image, links resolved, and its image files in the order of the modalities.

        Any other image is a case of its own.
        """
        return self._served.get(image.resolve(), (image.name.partition(".")[0], [image]))

    def proposal(self, rule: str, case: SuggestedCase) -> Path:
        """Return the proposal of a rule's case."""
        return self.served.suggestion(rule) / case.proposal

    def _suggest(self, rule: str) -> list[Any]:
        settings, folder = self.served.settings, self.served.suggestion(rule)
        found = semiseg.suggest(
            settings.runs,
            folder,
            by=rule,
            n=settings.n,
            images=settings.images,
            seed=settings.seed,
            reporter=self.reporter,
        )
        problems = []
        for one in found.cases:
            images = [folder / name for name in one.image]
            # One file may hold all modalities.
            shown = images[self.served.shown] if len(images) > 1 else images[0]
            ending = next((end for end in ENDINGS if shown.name.lower().endswith(end)), "")
            if not ending or shown.is_dir():
                what = f"{shown.name} is not a volume in one file ({', '.join(ENDINGS)})"
                problems.append(Problem(f"case {one.case}", what, "Convert it, or label it from its suggestion."))
                continue
            target = self.served.studies / f"{one.case}{ending}"
            _link(shown, target)
            self._served[target.resolve()] = one.case, images
        if problems:
            raise DataError(problems)
        return list(found.cases)


def _link(source: Path, target: Path) -> None:
    if target.exists():
        return
    try:
        target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))
    except OSError:  # a file system without links
        shutil.copy2(source, target)
