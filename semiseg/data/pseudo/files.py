"""The files of a folder of pseudo-labels by case, from their names alone."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from semiseg.errors import Problem
from semiseg.io.finding import Found, find, is_folder
from semiseg.io.names import CONFIDENCE, image_stem

_KEY = "dataset.pseudo_labels"


@dataclass(frozen=True, slots=True)
class PseudoFile:
    """The label map that another model predicted for a case, and its confidence map if that is used."""

    label: Path
    confidence: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are read."""
        return (self.label,) if self.confidence is None else (self.label, self.confidence)


@dataclass(frozen=True, slots=True)
class PseudoFiles:
    """The pseudo-labels that a training uses.

    Attributes:
        folder: where they are.
        by_case: the files of unlabeled cases; those without any are not in it.
        threshold: confidence below which a voxel is ignored; None if confidence is not used.
    """

    folder: Path
    by_case: Mapping[str, PseudoFile]
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class FoundPseudo:
    """The contents of a folder of pseudo-labels.

    Attributes:
        labels: label maps by case id.
        confidence: confidence maps by case id.
        others: names of files that belong to no case.
        problems: files that cannot be opened, and cases with several files.
        notes: remarks on files that are not read, each a sentence without its period.
    """

    labels: Mapping[str, Path] = field(default_factory=dict)
    confidence: Mapping[str, Path] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def find_pseudo(folder: Path, case_ids: Collection[str]) -> FoundPseudo:
    """Return the files of a folder, not of its subfolders, by the cases that they are named after.

    A label map is ``CASE.nii.gz`` or has another ending that datasets read; a confidence map is
    ``CASE_confidence.nii.gz`` likewise.
    """
    if not is_folder(folder):
        what = f"{folder} is not a folder"
        return FoundPseudo(problems=(Problem(_KEY, what, "Give the folder that holds CASE.nii.gz of each case."),))
    found = find(folder, image_stem)
    labels, confidence = defaultdict[str, list[Path]](list), defaultdict[str, list[Path]](list)
    others = []
    for path in found.files:
        name = image_stem(path)
        if name in case_ids:
            labels[name].append(path)
        elif name.removesuffix(CONFIDENCE) in case_ids:
            confidence[name.removesuffix(CONFIDENCE)].append(path)
        else:
            others.append(path.name)
    problems = [*found.problems, *_several(labels, "label map"), *_several(confidence, "confidence map")]
    return FoundPseudo(_first(labels), _first(confidence), tuple(others), tuple(problems), _notes(found))


def _several(files: Mapping[str, Sequence[Path]], what: str) -> list[Problem]:
    return [
        Problem(f"{_KEY}, case {case}", f"more than one {what}: {', '.join(map(str, paths))}", "Keep the right one.")
        for case, paths in files.items()
        if len(paths) > 1
    ]


def _first(files: Mapping[str, Sequence[Path]]) -> dict[str, Path]:
    return {case: paths[0] for case, paths in files.items()}


def _notes(found: Found) -> tuple[str, ...]:
    return tuple(f"{_KEY}: {note}" for note in found.notes())
