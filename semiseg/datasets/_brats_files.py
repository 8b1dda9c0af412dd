"""File names of the BraTS challenges, and the scans in a folder of such files."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.finding import CONVERT, Found, find
from semiseg.io.names import RENAMED, as_nifti, other_format, volume_stem
from semiseg.messages import some

SEG = "seg"
EXPECTED = "CASE_{t1,t1ce,t2,flair,seg}.nii.gz (2018 to 2022) or CASE-{t1n,t1c,t2w,t2f,seg}.nii.gz (2023 and later)"
_UNTIL_2022 = re.compile(r"(?P<case>.+)_(?P<what>t1|t1ce|t2|flair|seg)", re.IGNORECASE | re.DOTALL)
_SINCE_2023 = re.compile(r"(?P<case>.+)-(?P<what>t1n|t1c|t2w|t2f|seg)", re.IGNORECASE | re.DOTALL)
_CANONICAL = {"t1n": "t1", "t1c": "t1ce", "t2w": "t2", "t2f": "flair"}
_TIMEPOINT = re.compile(r"(?P<patient>.+-\d+)-\d+")
_STRAY_SEG = re.compile(r".*segm.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Scan:
    """The files of one case: paths by modality (t1, t1ce, t2, flair) or "seg". ``modern``: 2023 and later naming."""

    case_id: str
    files: Mapping[str, list[Path]]
    modern: bool

    @property
    def patient(self) -> str:
        """The patient; since 2023 the last group of digits in the id is the time point (BraTS-GLI-00005-101)."""
        match = _TIMEPOINT.fullmatch(self.case_id) if self.modern else None
        return match["patient"] if match else self.case_id

    @property
    def folders(self) -> set[Path]:
        """The folders that contain its files."""
        return {path.parent for paths in self.files.values() for path in paths}


def parse_name(path: Path) -> tuple[str, str] | None:
    """Return case id and modality (t1, t1ce, t2, flair) or "seg", for either naming; None for any other name."""
    parsed = _parse(path)
    return parsed[:2] if parsed else None


def _parse(path: Path) -> tuple[str, str, bool] | None:
    # Some archives unpack to a folder with the image's name that contains a file of another name.
    for stem in (volume_stem(path), volume_stem(path.parent) if volume_stem(path) else ""):
        for pattern in (_SINCE_2023, _UNTIL_2022):
            match = pattern.fullmatch(stem)
            if match:
                what = match["what"].lower()
                return match["case"], _CANONICAL.get(what, what), pattern is _SINCE_2023
    return None


def find_scans(folder: Path, *, to_predict: bool = False) -> list[Scan]:
    """Return the scans in a folder and its subfolders, by case id.

    ``to_predict``: files that cannot be opened are included, since the error is reported when they are read.

    Raises DataError if no name is recognized, for broken links, and for files of a case that are not NIfTI or cannot be
    opened: an existing label is never treated as missing.
    """
    held = find(folder, volume_stem, recursive=True)
    files = held.files
    found: dict[tuple[str, bool], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    strays = []
    for path in files:
        parsed = _parse(path)
        if parsed:
            case_id, what, modern = parsed
            found[case_id, modern][what].append(path)
        else:
            strays.append(path)
    problems = [*(held.lost if to_predict else held.problems), *_of_other_formats(held.other)]
    if not found and not problems:
        problems.append(Problem(str(folder), f"no BraTS files: {_names(held)}", f"Expected {EXPECTED}."))
    raise_all(problems, DataError)
    scans = [Scan(case_id, what, modern) for (case_id, modern), what in sorted(found.items())]
    return _with_stray_labels(scans, strays)


def _of_other_formats(paths: Iterable[Path]) -> Iterator[Problem]:
    for path in paths:
        if parsed := _parse(as_nifti(path)):
            what = f"by its name, it is the {parsed[1]} of case {parsed[0]}, but {other_format(path)} is not supported"
            fix = "Finish the download, or restore the file's name" if other_format(path) == RENAMED else CONVERT
            yield Problem(str(path), what, f"{fix.rstrip('.')}. Or move it away.")


def _names(held: Found) -> str:
    if not held.files:
        return f"it contains {held.formats()}" if held.other else "it contains no images"
    return f"it contains {some([path.name for path in held.files], 3)}"


def _with_stray_labels(scans: list[Scan], strays: Iterable[Path]) -> list[Scan]:
    """Add labels with other names from folders that hold no other scan's files."""
    # BraTS 2020, case 355, as published: its label is named W39_1998.09.19_Segm.nii.
    scans_in: dict[Path, list[int]] = defaultdict(list)
    for index, scan in enumerate(scans):
        for folder in scan.folders:
            scans_in[folder].append(index)
    labels: dict[int, list[Path]] = defaultdict(list)
    for path in strays:
        if _STRAY_SEG.fullmatch(volume_stem(path)) and len(scans_in[path.parent]) == 1:
            labels[scans_in[path.parent][0]].append(path)
    for index, paths in labels.items():
        files = scans[index].files
        scans[index] = replace(scans[index], files={**files, SEG: [*files.get(SEG, ()), *paths]})
    return scans
