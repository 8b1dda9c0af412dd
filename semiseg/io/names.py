"""File names: which are NIfTI, which are images of other formats, and which case ids can be one."""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from semiseg.errors import DataError, Problem

_NIFTI = re.compile(r"(?P<stem>.+?)\.nii(\.gz)?", re.IGNORECASE | re.DOTALL)
_RENAMED = re.compile(r"(?P<stem>.+?)\.nii\b.*", re.IGNORECASE | re.DOTALL)
_OTHER_FORMATS = {
    "Analyze": (".hdr", ".img", ".hdr.gz", ".img.gz"),
    "compressed NIfTI": (".nii.bz2", ".nii.xz", ".nii.zip", ".nii.zst"),
    "DICOM": (".dcm", ".dicom", ".ima"),
    "FreeSurfer": (".mgh", ".mgz", ".mgh.gz"),
    "HDF5": (".h5", ".hdf5"),
    "MetaImage": (".mha", ".mhd"),
    "MINC": (".mnc",),
    "NRRD": (".nrrd", ".nhdr", ".seg.nrrd"),
    "NumPy": (".npy", ".npz"),
    "pictures": (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"),
    "Zarr": (".zarr",),
}
_FORMAT_OF = {ending: name for name, endings in _OTHER_FORMATS.items() for ending in endings}
_OTHER = re.compile(rf"(?P<stem>.+?)(?P<ending>{'|'.join(map(re.escape, _FORMAT_OF))})", re.IGNORECASE | re.DOTALL)
RENAMED = "NIfTI with more behind its ending"
"""What ``other_format`` says of a download that is not finished, or a copy that was renamed."""
_LONGEST = 200
"""Bytes of a case id: file systems allow 255 for a name, and outputs and their temporary files add to it."""


def safe_name(case_id: str) -> str:
    """The case id itself, which becomes a file name. Raises DataError where it cannot be one.

    It is one line of visible text, without ``/`` and ``\\``, begins with neither ``.`` nor ``-``, and has at most 200
    bytes.
    """
    if (size := len(os.fsencode(case_id))) > _LONGEST:
        what = f"its id has {size} bytes, which leaves no room for the names of its outputs"
        raise DataError(Problem(f"case {case_id!r}", what, f"Rename its files: at most {_LONGEST} bytes."))
    if not case_id or not case_id.isprintable() or case_id[0] in ".- " or {"/", "\\"} & {*case_id}:
        raise DataError(
            Problem(
                f"case {case_id!r}",
                "its id cannot be a file name",
                "Rename its files: one line of visible text without / and \\, and neither '.', '-' nor a space first.",
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


def shared_start(names: Sequence[str]) -> str:
    """What names that differ begin with, to the last separator before they do; may be empty."""
    shared = os.path.commonprefix(list(names))  # noqa: RUF071 (it is letters that are compared)
    return re.sub(r"[^-_. ]*$", "", shared)


def shared_name(names: Sequence[str]) -> str:
    """What names of one case's files begin with, without separators behind it; the first, where that is nothing."""
    return names[0] if len(set(names)) == 1 else shared_start(names).rstrip("-_. ") or names[0]


def nifti_stem(path: Path) -> str:
    """The name without ``.nii`` or ``.nii.gz``, in either case; empty for any other file, and for a hidden one.

    Letters with accents are composed (Unicode NFC), since macOS may write the same name otherwise.
    """
    match = _NIFTI.fullmatch(path.name)
    return unicodedata.normalize("NFC", match["stem"]) if match and not path.name.startswith(".") else ""


def other_format(path: Path) -> str:
    """The image format, other than NIfTI, that a file's ending stands for; empty for any other."""
    match = _OTHER.fullmatch(path.name)
    if match:
        return _FORMAT_OF[match["ending"].lower()]
    return RENAMED if _RENAMED.fullmatch(path.name) and not _NIFTI.fullmatch(path.name) else ""


def as_nifti(path: Path) -> Path:
    """The name that an image of another format would have as NIfTI."""
    match = (_OTHER.fullmatch(path.name) or _RENAMED.fullmatch(path.name)) if other_format(path) else None
    return path.with_name(f"{match['stem']}.nii.gz") if match else path
