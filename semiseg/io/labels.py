"""Label files in the format of their images: NIfTI for volumes, PNG for pictures."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from semiseg.io.atomic import write_bytes
from semiseg.io.names import is_picture, nifti_stem
from semiseg.io.nifti import nifti_label_bytes, read_nifti_header, read_nifti_label
from semiseg.io.pictures import mask_bytes, read_mask, read_picture_header
from semiseg.types import Geometry, Unit

LABEL_ENDINGS = (".nii.gz", ".png")
"""Endings of the label files that ``write_label`` writes."""


def label_ending(unit: Unit) -> str:
    """Return the ending of a label file on a grid with this unit."""
    return ".png" if unit == "pixel" else ".nii.gz"


def write_label(path: Path, values: NDArray[Any], geometry: Geometry) -> None:
    """Write stored label values (X, Y, Z), of an integer type, on a grid, atomically; see ``label_bytes``.

    Raises StorageError if the disk refuses.
    """
    write_bytes(path, label_bytes(values, geometry))


def label_bytes(values: NDArray[Any], geometry: Geometry) -> bytes:
    """Return the content of a label file: PNG if the grid's unit is "pixel", else ``.nii.gz``.

    It is read back with the same values and grid. Equal arguments give equal bytes. Raises DataError for values that
    the format cannot store.
    """
    flat = geometry.unit != "pixel" or geometry.shape[2] == 1
    if values.shape != geometry.shape or values.dtype.kind not in "iu" or not flat:
        raise ValueError(f"{values.dtype} {values.shape} is not a label map on a grid of {geometry.shape}")
    return mask_bytes(values) if geometry.unit == "pixel" else nifti_label_bytes(values, geometry)


def read_stored_label(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Read the stored values of a NIfTI label, rounded as in ``read_nifti_label``, or of a mask, and their grid.

    The format is that of the file's ending. Raises DataError if the file is unusable. A NIfTI file may have more than
    three axes.
    """
    return read_mask(path) if is_picture(path) else read_nifti_label(path)


def read_label_header(path: Path) -> tuple[Geometry, tuple[int, ...]] | None:
    """Return grid and shape from the header of a NIfTI file or mask; None for other files. Raises DataError."""
    if is_picture(path):
        return read_picture_header(path, mask=True)
    return read_nifti_header(path) if nifti_stem(path) else None
