"""Files of DICOM series, each with one slice, and what their headers say."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.finding import NO_IMAGES, Walk
from semiseg.io.formats.stored import AGAIN
from semiseg.io.names import other_format, volume_stem

_UID, _DESCRIPTION, _MODALITY = "0020|000e", "0008|103e", "0008|0060"
_POSITION, _ORIENTATION, _PIXELS = "0020|0032", "0020|0037", "0028|0030"
_BETWEEN, _THICKNESS = "0018|0088", "0018|0050"
_DICOMDIR = re.compile(r"dicomdir(\..*)?", re.IGNORECASE)
_SKIPPED = {*NO_IMAGES, ".db", ".ini", ".xml"}
_SNIFFED = 3
CONVERT = "Convert it with dcm2niix, or move it away if it is not the image."


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice: ``axes`` (3, 2) are the steps along rows and columns, ``position`` (3,) that of the first voxel, in LPS.

    ``thickness`` is in mm, 0 if unknown; ``size`` is the most memory that it may take, in bytes.
    """

    path: Path
    series: str
    description: str
    modality: str
    shape: tuple[int, int]
    axes: NDArray[np.float64]
    position: NDArray[np.float64]
    thickness: float
    size: int


def series_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a DICOM folder and its subfolders, sorted.

    Hidden files, texts, tables, DICOMDIR and volumes in other formats are left out.

    Raises DataError for broken links and folders that cannot be opened.
    """
    walk = Walk()
    files = [path for _, _, names in walk.through(folder) for path in names]
    broken = [Problem(str(path), "broken link", "Fetch its target, or remove the link.") for path in walk.dangling]
    raise_all([*walk.problems, *broken], DataError)
    return tuple(sorted(path for path in files if _may_be_slice(path)))


def _may_be_slice(path: Path) -> bool:
    ending = path.suffix.lower()
    skipped = path.name.startswith(".") or ending in _SKIPPED or _DICOMDIR.fullmatch(path.name)
    return not (skipped or volume_stem(path))


def holds_dicom(folder: Path, *, directly: bool = False) -> bool:
    """Return whether a folder has DICOM files, by the content of a few; ``directly``: without its subfolders."""
    walk = Walk()
    seen = 0
    for _, inner, names in walk.through(folder):
        if directly:
            inner.clear()
        for path in filter(_may_be_slice, names):
            kind = other_format(path)
            if kind == "DICOM" or (not kind and _has_magic(path)):
                return True
            seen += 1
            if seen >= _SNIFFED:
                return False
    return False


def _has_magic(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_modality(folder: Path) -> str:
    """Return the modality of a series, such as CT, MR or PT, from one of its files; empty if it has none."""
    for path in series_files(folder):
        try:
            return _tag(open_slice(path), _MODALITY)
        except DataError:
            continue
    return ""


def open_slice(path: Path) -> Any:
    """Return SimpleITK's reader of a file, with its header. Raises DataError."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise unreadable(path) from error
    return reader


def unreadable(path: Path) -> DataError:
    """Return the error of a file that SimpleITK cannot read."""
    try:
        size = path.stat().st_size
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}"
        return DataError(Problem(str(path), what, "Check its permissions and the disk."))
    if not size:
        return DataError(Problem(str(path), "the file is empty", "Download or copy it again."))
    if not _has_magic(path):
        return DataError(Problem(str(path), "the file is not DICOM", "Move it away, or copy it again."))
    what = "the file is truncated or damaged, or not an image"
    return DataError(Problem(str(path), what, f"{AGAIN} Move it away if it is a report or a segmentation."))


def _tag(reader: Any, key: str) -> str:
    return str(reader.GetMetaData(key)).strip(" \0") if reader.HasMetaDataKey(key) else ""


def read_slice(path: Path) -> Slice:
    """Return what the header of a file says, from memory if the file did not change. Raises DataError."""
    try:
        state = path.stat()
    except OSError as error:
        raise unreadable(path) from error
    return _read_slice(path, (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino))


@lru_cache(maxsize=2**15)
def _read_slice(path: Path, state: tuple[int, ...]) -> Slice:
    reader = open_slice(path)
    size = reader.GetSize()
    if len(size) > 2 and size[2] > 1:
        raise DataError(Problem(str(path), f"it has {size[2]} frames in one file (enhanced DICOM)", CONVERT))
    if reader.GetNumberOfComponents() != 1:
        raise DataError(Problem(str(path), "it is a color image", CONVERT))
    missing = [
        name
        for name, key in (("position", _POSITION), ("orientation", _ORIENTATION), ("pixel spacing", _PIXELS))
        if not _tag(reader, key)
    ]
    if missing:
        what = f"it has no {' and no '.join(missing)}, as slices of a volume have"
        raise DataError(Problem(str(path), what, "Move it away. Save radiographs as PNG or TIFF."))
    direction = np.array(reader.GetDirection()).reshape(3, 3)
    return Slice(
        path,
        _tag(reader, _UID),
        _tag(reader, _DESCRIPTION),
        _tag(reader, _MODALITY),
        (size[0], size[1]),
        direction[:, :2] * np.array(reader.GetSpacing()[:2]),
        np.array(reader.GetOrigin()),
        _length(_tag(reader, _THICKNESS)) or _length(_tag(reader, _BETWEEN)),
        size[0] * size[1] * 8,
    )


def _length(text: str) -> float:
    try:
        return abs(float(text))
    except ValueError:
        return 0.0
