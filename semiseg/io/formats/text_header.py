"""NRRD and MetaImage files: voxels on their grid."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from semiseg.io.formats.metaimage import read_metaimage_header
from semiseg.io.formats.nrrd import read_nrrd_header
from semiseg.io.formats.stored import Stored
from semiseg.io.nifti import require_finite
from semiseg.types import Geometry


def has_text_header(path: Path) -> bool:
    """Return whether a file is NRRD or MetaImage by its name."""
    return path.name.lower().endswith((".nrrd", ".nhdr", ".mha", ".mhd"))


def read_text_header(path: Path) -> Stored:
    """Return what the header of an NRRD or MetaImage file declares. Raises DataError."""
    nrrd = path.name.lower().endswith((".nrrd", ".nhdr"))
    return read_nrrd_header(path) if nrrd else read_metaimage_header(path)


def read_with_text_header(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Read the voxels of an NRRD or MetaImage file, (X, Y, Z) or (X, Y, Z, channels), and their grid.

    The stored numeric type is kept. Axes of length 1 besides the spatial ones are dropped, and the channels of vector
    images are the last axis, wherever they are stored. Lengths are in mm; the grid's unit is "voxel" if the header has
    no spacing.

    Raises DataError, naming the file, as ``read_nifti``.
    """
    stored = read_text_header(path)
    return require_finite(path, stored.voxels()), stored.geometry()[0]
