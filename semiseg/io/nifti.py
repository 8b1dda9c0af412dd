"""One NIfTI file: read with every check that its bytes allow, written in the grid that it was predicted on."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.io.atomic import write_bytes
from semiseg.io.gzipped import read_bytes, read_head
from semiseg.io.header import HEADER_SIZE, header_geometry, parse_header
from semiseg.types import Geometry


def read_nifti(path: Path) -> tuple[NDArray[Any], Geometry]:
    """The voxels of a file (X, Y, Z, …) and their grid in mm (an unknown unit is taken for mm).

    The stored numeric type is kept; where the header scales the values, they are float32. A gzip stream is read to
    its end, and it is the content that says whether there is one, not the name.

    Raises DataError, naming the file, for one that is empty, truncated, damaged or no NIfTI, for a singular or
    sheared affine, and for voxels that are not finite, with their number.
    """
    path = Path(path)
    data = read_bytes(path)
    header = parse_header(path, data)
    geometry, shape = header_geometry(path, header)
    return _finite(path, _scaled(header, _stored(path, header, data, shape))), geometry


def read_nifti_header(path: Path) -> tuple[Geometry, tuple[int, ...]]:
    """The grid of a file and the shape of its array, from the header alone. Raises DataError as ``read_nifti``."""
    path = Path(path)
    return header_geometry(path, parse_header(path, read_head(path, HEADER_SIZE)))


def _stored(path: Path, header: Any, data: bytes, shape: tuple[int, ...]) -> NDArray[Any]:
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise DataError(Problem(str(path), f"its voxels are {dtype}, not numbers", "Store one number a voxel."))
    offset, count = int(header["vox_offset"]), int(np.prod(shape, dtype=np.int64))
    expected = offset + count * dtype.itemsize
    if len(data) < expected:
        raise DataError(
            Problem(
                str(path),
                f"the file is truncated: its header asks for {expected:,} bytes, there are {len(data):,}",
                "Download or copy it again.",
            )
        )
    array = np.frombuffer(data, dtype, count, offset).reshape(shape, order="F")
    return array.astype(dtype.newbyteorder("="), order="K", copy=True)


def _scaled(header: Any, array: NDArray[Any]) -> NDArray[Any]:
    # NIfTI-1.1: scl_slope 0 means that values are stored as they are; nibabel gives None then.
    slope, intercept = header.get_slope_inter()
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if (slope, intercept) == (1.0, 0.0):
        return array
    return (array * float(slope) + float(intercept)).astype(np.float32)


def _finite(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "f":
        bad = array.size - int(np.count_nonzero(np.isfinite(array)))
        if bad:
            raise DataError(not_finite(str(path), bad, array.size))
    return array


def not_finite(where: str, bad: int, total: int) -> Problem:
    """Voxels that are NaN or infinite, as a problem."""
    return Problem(
        where,
        f"{bad:,} of {total:,} voxels are not finite (NaN or infinity)",
        "Export the image again, or replace them by a value that you choose; semiseg does not guess one.",
    )


def write_label(path: Path, values: NDArray[Any], geometry: Geometry) -> None:
    """Write stored label values (X, Y, Z), of an integer type, as ``.nii.gz`` in a grid; whole or not at all.

    See ``label_bytes``. Raises StorageError where the disk refuses.
    """
    write_bytes(path, label_bytes(values, geometry))


def label_bytes(values: NDArray[Any], geometry: Geometry) -> bytes:
    """The content of a ``.nii.gz`` file with stored label values (X, Y, Z), of an integer type, in a grid.

    The affine is the same on reading, bit for bit, where a NIfTI-1 header can say it, as it can for what came from
    one. Equal arguments give equal bytes.
    """
    if values.shape != geometry.shape or values.dtype.kind not in "iu":
        raise ValueError(f"{values.dtype} {values.shape} is no label map on a grid of {geometry.shape}")
    return nifti_bytes(values.astype(_smallest_type(values)), geometry)


def nifti_bytes(array: NDArray[Any], geometry: Geometry) -> bytes:
    """The content of a ``.nii.gz`` file with this array (X, Y, Z) in its own numeric type; no date is in it."""
    import nibabel

    image = nibabel.Nifti1Image(array, None, _header(geometry), dtype=array.dtype)
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def _smallest_type(values: NDArray[Any]) -> type[np.integer[Any]]:
    # The integer types that every NIfTI reader knows.
    types: tuple[type[np.integer[Any]], ...] = (np.uint8, np.int16, np.int32)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    return next(t for t in types if np.iinfo(t).min <= low and high <= np.iinfo(t).max)


def _header(geometry: Geometry) -> Any:
    """A header with the grid's affine: by sform and qform, by qform alone, or by the voxel size alone.

    An sform is 12 float32. An affine that comes from a file's qform or voxel size is not always that, but the same
    fields say it again. Where none of the three is exact, the sform is within rounding.
    """
    candidates = [_candidate(geometry, *codes) for codes in ((1, 1), (0, 1), (0, 0))]
    exact = (header for header in candidates if np.array_equal(header.get_best_affine(), geometry.affine))
    return next(exact, candidates[0])


def _candidate(geometry: Geometry, sform_code: int, qform_code: int) -> Any:
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_shape(geometry.shape)
    header.set_qform(geometry.affine, qform_code)
    header.set_sform(geometry.affine, sform_code)
    header.set_xyzt_units("mm" if geometry.unit == "mm" else "unknown")
    return header
