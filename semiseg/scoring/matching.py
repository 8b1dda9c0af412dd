"""Label files in a folder, by case: the naming schemes of BraTS, nnU-Net and the Medical Decathlon."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.finding import CONVERT, Found, find
from semiseg.io.names import CONFIDENCE, image_stem, is_slicer, volume_stem

_SEGMENTATION = re.compile(r"(^|[_-])(segm?|label)$", re.IGNORECASE)


def find_both(predictions: Path, references: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the label files of two folders by case id; two files form a pair under any names. Raises DataError."""
    files = [path for path in (predictions, references) if path.is_file()]
    if len(files) == 2:
        case = _case_id(references) or references.name
        return {case: predictions}, {case: references}
    if files:
        missing = [path for path in (predictions, references) if not path.exists()]
        raise_all([Problem(str(path), "file not found", "Check the path.") for path in missing], DataError)
        fix = "Give two files, or two folders."
        raise DataError(Problem(str(files[0]), "is a file, but the other is not", fix))
    return find_labels(predictions), find_labels(references)


def find_labels(folder: Path) -> dict[str, Path]:
    """Return the label file of each case in a folder, by case id in alphabetical order.

    Either the files are in the folder itself, CASE.nii.gz (nnU-Net, Decathlon) or CASE_seg.nii.gz (BraTS, also
    CASE-seg; CASE-label.nrrd and CASE.seg.nrrd of 3D Slicer), or each case has a folder of its name with one label
    file. Images next to such a file of the same case, CASE_confidence next to CASE, and hidden files are skipped.
    Without volumes, pictures named likewise are taken. Raises DataError if there is no label file, or if a case has
    two.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(Problem(str(folder), "folder not found"))
    held = _labels_in(folder)
    found = _flat(held.files) or _in_case_folders(folder)
    problems = [*held.problems]
    if not found and not problems:
        problems.append(Problem(str(folder), *_nothing(folder, held)))
    by_case: dict[str, Path] = {}
    for case, path in sorted(found):
        if case in by_case:
            problems.append(Problem(f"case {case}", f"has two label files: {by_case[case]} and {path}"))
        by_case[case] = path
    raise_all(problems, DataError)
    return by_case


def label_notes(folder: Path) -> Iterator[str]:
    """Yield notes on the other contents of a folder of label files, each a sentence without its period."""
    if Path(folder).is_file():
        return
    held = _labels_in(Path(folder))
    yield from (replace(held, deeper=()) if not _flat(held.files) else held).notes()


def _labels_in(folder: Path) -> Found:
    """Return the volumes of a folder; if there are none, its pictures."""
    volumes, pictures = find(folder, volume_stem), find(folder, image_stem)
    confidence = {f"{image_stem(path)}{CONFIDENCE}" for path in pictures.files}  # a picture's is a volume
    for held in (volumes, pictures):
        if files := tuple(path for path in held.files if image_stem(path) not in confidence):
            return replace(held, files=files)
    return pictures


def _flat(files: Sequence[Path]) -> list[tuple[str, Path]]:
    marked = {_case_id(path) for path in files if _is_marked(path)}
    pairs = {_case_id(path) for path in files if _is_of_slicer(path)}
    images = {
        path for path in files if not _is_marked(path) and (image_stem(path) in pairs or _belongs_to(path, marked))
    }
    return [(_case_id(path), path) for path in files if path not in images]


def _in_case_folders(folder: Path) -> list[tuple[str, Path]]:
    found = list[tuple[str, Path]]()
    for inner in _folders(folder):
        files = [*_labels_in(inner).files]
        files = [path for path in files if _is_marked(path)] or [*files]
        if len(files) == 1:
            found.append((inner.name, files[0]))
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _belongs_to(path: Path, cases: set[str]) -> bool:
    """Return whether this is an image of one of the cases: its name is the case's plus a suffix (CASE_flair)."""
    stem = image_stem(path)
    return any(stem[:i] in cases for i, letter in enumerate(stem) if letter in "_-")


def _is_marked(path: Path) -> bool:
    return _is_of_slicer(path) or _SEGMENTATION.search(image_stem(path)) is not None


def _is_of_slicer(path: Path) -> bool:
    """Return whether this is a label beside its image: CASE.seg.nrrd or CASE-label.nrrd, with CASE.nrrd."""
    return is_slicer(path) or image_stem(path).lower().endswith(("-label", "_label"))


def _case_id(path: Path) -> str:
    return _SEGMENTATION.sub("", image_stem(path)) or image_stem(path)


def _nothing(folder: Path, held: Found) -> tuple[str, str]:
    """Return what a folder without label files holds instead, and how to fix it."""
    several = [inner.name for inner in _folders(folder) if len(_labels_in(inner).files) > 1]
    if several:
        fix = f"It contains folders with several files each ({', '.join(several[:5])}); give one of those."
        return "contains no label files", fix
    if held.other:
        return f"contains no label files, but {held.formats()}", CONVERT
    return (
        "contains no label files",
        "Expected CASE.nii.gz or CASE_seg.nii.gz in it, or in one folder per case; or .png.",
    )
