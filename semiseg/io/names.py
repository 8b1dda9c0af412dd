"""File names: detection of NIfTI, pictures and other image formats, and case ids that are valid file names."""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from semiseg.errors import DataError, Problem

_NIFTI = re.compile(r"(?P<stem>.+?)\.nii(\.gz)?", re.IGNORECASE | re.DOTALL)
_RENAMED = re.compile(r"(?P<stem>.+?)\.nii\b.*", re.IGNORECASE | re.DOTALL)
CONFIDENCE = "_confidence"
"""The ending of a confidence map's name, after that of its label map; before the file's ending."""
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""Endings of the volumes that are read in single files."""
_VOLUME = re.compile(r"(?P<stem>.+?)(\.nii(\.gz)?|(\.seg)?\.nrrd|\.nhdr|\.mha|\.mhd)", re.IGNORECASE | re.DOTALL)
_SLICER = re.compile(r"(?P<stem>.+?)\.seg\.nrrd", re.IGNORECASE | re.DOTALL)
PICTURES = (".jpeg", ".jpg", ".png", ".tif", ".tiff")
"""Endings of the pictures that datasets may read: 2D images."""
_PICTURE = re.compile(rf"(?P<stem>.+?)({'|'.join(map(re.escape, PICTURES))})", re.IGNORECASE | re.DOTALL)
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
    "pictures": (*PICTURES, ".bmp", ".gif", ".heic", ".webp"),
    "Zarr": (".zarr",),
}
_FORMAT_OF = {ending: name for name, endings in _OTHER_FORMATS.items() for ending in endings}
_OTHER = re.compile(rf"(?P<stem>.+?)(?P<ending>{'|'.join(map(re.escape, _FORMAT_OF))})", re.IGNORECASE | re.DOTALL)
RENAMED = "NIfTI with an extra suffix"
"""The result of ``other_format`` for an unfinished download or a renamed copy."""
_LONGEST = 200
"""Maximum bytes of a case id: file systems allow 255 for a name, and outputs and their temporary files add to it."""


def safe_name(case_id: str) -> str:
    """Return the case id itself, which becomes a file name. Raises DataError if it is not valid as one.

    It must be one line of visible text without ``/`` and ``\\``, must not start with ``.``, ``-`` or a space, and has
    at most 200 bytes.
    """
    if (size := len(os.fsencode(case_id))) > _LONGEST:
        what = f"its id has {size} bytes, too long for the names of its outputs"
        raise DataError(Problem(f"case {case_id!r}", what, f"Rename its files: at most {_LONGEST} bytes."))
    if not case_id or not case_id.isprintable() or case_id[0] in ".- " or {"/", "\\"} & {*case_id}:
        raise DataError(
            Problem(
                f"case {case_id!r}",
                "its id cannot be a file name",
                "Rename its files: one line of visible text without / and \\, not starting with '.', '-' or a space.",
            )
        )
    return case_id


def name_problems(case_ids: Iterable[str]) -> list[Problem]:
    """Return the problems that ``safe_name`` finds in the ids."""
    problems: list[Problem] = []
    for case_id in case_ids:
        try:
            safe_name(case_id)
        except DataError as error:
            problems += error.problems
    return problems


def shared_start(names: Sequence[str]) -> str:
    """Return the common start of different names, up to the last separator in it; may be empty."""
    shared = os.path.commonprefix(list(names))  # noqa: RUF071 (it compares letters)
    return re.sub(r"[^-_. ]*$", "", shared)


def shared_name(names: Sequence[str]) -> str:
    """Return the common start of a case's file names, without trailing separators; the first name if that is empty."""
    return names[0] if len(set(names)) == 1 else shared_start(names).rstrip("-_. ") or names[0]


def nifti_stem(path: Path) -> str:
    """Return the name without ``.nii`` or ``.nii.gz``, in either case; empty for other files and hidden ones.

    Accented letters are composed (Unicode NFC), since macOS may write the same name differently.
    """
    return _stem(_NIFTI, path)


def volume_stem(path: Path) -> str:
    """Return the name of a NIfTI, NRRD (also ``.seg.nrrd``) or MetaImage file without its ending, as ``nifti_stem``."""
    return _stem(_VOLUME, path)


def image_stem(path: Path) -> str:
    """Return the name of a volume (``volume_stem``) or picture without its ending; empty for other files."""
    return volume_stem(path) or _stem(_PICTURE, path)


def is_slicer(path: Path) -> bool:
    """Return whether a file is a segmentation of 3D Slicer (``.seg.nrrd``) by its name."""
    return bool(_stem(_SLICER, path))


def is_picture(path: Path) -> bool:
    """Return whether a file is a PNG, JPEG or TIFF picture by its name."""
    return bool(_stem(_PICTURE, path))


def _stem(pattern: re.Pattern[str], path: Path) -> str:
    match = pattern.fullmatch(path.name)
    return unicodedata.normalize("NFC", match["stem"]) if match and not path.name.startswith(".") else ""


def other_format(path: Path) -> str:
    """Return the non-NIfTI image format indicated by a file's ending; empty for any other ending.

    Pictures are among them: a dataset that reads them looks for ``image_stem`` first.
    """
    match = _OTHER.fullmatch(path.name)
    if match:
        return _FORMAT_OF[match["ending"].lower()]
    return RENAMED if _RENAMED.fullmatch(path.name) and not _NIFTI.fullmatch(path.name) else ""


def as_nifti(path: Path) -> Path:
    """Return the name that an image of another format would have as NIfTI."""
    match = (_OTHER.fullmatch(path.name) or _RENAMED.fullmatch(path.name)) if other_format(path) else None
    return path.with_name(f"{match['stem']}.nii.gz") if match else path
