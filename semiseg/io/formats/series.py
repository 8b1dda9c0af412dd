"""DICOM series among the contents of a folder."""

from dataclasses import replace

from semiseg.io.finding import Found, is_folder
from semiseg.io.formats.dicom_slices import holds_dicom


def with_series(found: Found) -> Found:
    """Return the result of a search with those subfolders as files that hold DICOM files, in any depth."""
    if not is_folder(found.folder):
        return found
    try:
        inner = sorted(path for path in found.folder.iterdir() if not path.name.startswith(".") and is_folder(path))
    except OSError:  # among the problems of the search
        return found
    series = [path for path in inner if path not in found.files and holds_dicom(path)]
    if not series:
        return found
    other = tuple(path for path in found.other if not any(path.is_relative_to(folder) for folder in series))
    return replace(found, files=tuple(sorted([*found.files, *series])), other=other)
