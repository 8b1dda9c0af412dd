"""Label files in the format of their images: NIfTI for volumes, PNG for pictures."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError
from semiseg.io.atomic import write_bytes
from semiseg.io.formats.segments import read_segments, read_slicer_label
from semiseg.io.formats.text_header import has_text_header, read_text_header, read_with_text_header
from semiseg.io.names import is_picture, is_slicer, nifti_stem
from semiseg.io.nifti import nifti_label_bytes, read_nifti_header, read_nifti_label
from semiseg.io.pictures import read_mask, read_picture_header
from semiseg.io.whole import whole_numbers
from semiseg.types import Geometry, Unit

LARGEST_VALUE = 65535
"""The largest value that a PNG can store."""
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
    return _png_bytes(values) if geometry.unit == "pixel" else nifti_label_bytes(values, geometry)


def read_stored_label(path: Path, values: Mapping[str, int] | None = None) -> tuple[NDArray[Any], Geometry]:
    """Read the stored values of a label in a volume, rounded as in ``read_nifti_label``, or of a mask, and their grid.

    The format is that of the file's ending. ``values`` are those of named segments (``read_slicer_label``). Raises
    DataError if the file is unusable. A volume may have more than three axes.
    """
    if is_picture(path):
        return read_mask(path)
    if is_slicer(path):
        return read_slicer_label(path, values)
    if has_text_header(path):
        array, geometry = read_with_text_header(path)
        return whole_numbers(array), geometry
    return read_nifti_label(path)


def read_label_header(path: Path) -> tuple[Geometry, tuple[int, ...]] | None:
    """Return grid and shape from the header of a volume or mask; None for other files. Raises DataError.

    None also for a segmentation of 3D Slicer, whose grid may be a part of the image's.
    """
    if is_picture(path):
        return read_picture_header(path, mask=True)
    if is_slicer(path) and read_segments(path):
        return None
    if has_text_header(path):
        return read_text_header(path).geometry()
    return read_nifti_header(path) if nifti_stem(path) else None


def _png_bytes(values: NDArray[Any]) -> bytes:
    """Return the content of a PNG with label values (X, Y, 1) from 0 to 65535, without a date.

    Up to 255, they are indices into a palette with distinct colors: black for 0 and white for 255. Others are 16-bit
    gray. Raises DataError for values that a PNG cannot store.
    """
    from PIL import Image

    rows = np.ascontiguousarray(values[:, :, 0].T)
    low, high = (int(rows.min()), int(rows.max())) if rows.size else (0, 0)
    if low < 0 or high > LARGEST_VALUE:
        raise DataError(
            f"A PNG cannot store the label value {low if low < 0 else high}.",
            f"Use values from 0 to {LARGEST_VALUE} for the classes.",
        )
    image = Image.fromarray(rows.astype(np.uint8 if high <= 255 else np.uint16))
    if high <= 255:
        image.putpalette(_palette())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _palette() -> bytes:
    """Return 256 distinct colors: those of PASCAL VOC, which spread an index's bits over red, green and blue.

    The last one is white, so that a mask of 0 and 255 has the same values as a gray picture.
    """
    index = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for place in range(8):
        for color in range(3):
            colors[:, color] |= ((index >> (3 * place + color) & 1) << (7 - place)).astype(np.uint8)
    colors[255] = 255
    return colors.tobytes()
