"""The files in which an image or a label is stored, and what they say about the modality."""

from pathlib import Path

from semiseg.errors import DataError
from semiseg.io.formats.dicom_slices import series_files, series_modality
from semiseg.io.formats.text_header import has_text_header, read_text_header

_META = "MET_MOD_"


def contents(path: Path) -> tuple[Path, ...]:
    """Return the files of an image or label: a DICOM folder's in the order of their names, a detached header's, itself.

    Raises DataError for a folder or a detached header that cannot be read.
    """
    if path.is_dir():
        return series_files(path)
    if path.name.lower().endswith((".nhdr", ".mhd")):
        return path, read_text_header(path).data
    return (path,)


def modality_hint(path: Path) -> str:
    """Return the modality of an image, such as CT, MR or PT, if a DICOM folder or MetaImage says it; otherwise ""."""
    try:
        if path.is_dir():
            return series_modality(path)
        if has_text_header(path):
            return read_text_header(path).fields.get("Modality", "").upper().removeprefix(_META)
    except DataError:
        pass
    return ""
