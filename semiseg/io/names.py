"""File names: which are NIfTI, and which case ids can be one."""

import re
from collections.abc import Iterable
from pathlib import Path

from semiseg.errors import DataError, Problem

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_NIFTI = re.compile(r"(?P<stem>.+?)\.nii(\.gz)?")


def safe_name(case_id: str) -> str:
    """The case id itself, which becomes a file name: letters, digits, ``.``, ``_`` and ``-``. Raises DataError."""
    if not _SAFE.fullmatch(case_id):
        raise DataError(
            Problem(
                f"case {case_id!r}",
                "its id cannot be a file name",
                "Rename its files: letters, digits, '.', '_' and '-' only, and neither '.' nor '-' first.",
            )
        )
    return case_id


def name_problems(case_ids: Iterable[str]) -> list[Problem]:
    """What ``safe_name`` says about each of the ids that it refuses."""
    problems: list[Problem] = []
    for case_id in case_ids:
        try:
            safe_name(case_id)
        except DataError as error:
            problems += error.problems
    return problems


def nifti_stem(path: Path) -> str:
    """The name without ``.nii`` or ``.nii.gz``; empty for any other file, and for a hidden one."""
    match = _NIFTI.fullmatch(path.name)
    return match["stem"] if match and not path.name.startswith(".") else ""


def nifti_files(folder: Path, recursive: bool = False) -> list[Path]:
    """The NIfTI files of a folder by their names, sorted; hidden ones (such as macOS's ``._*``) are left out."""
    found = folder.rglob("*.nii*") if recursive else folder.glob("*.nii*")
    return sorted(path for path in found if nifti_stem(path) and path.is_file())
