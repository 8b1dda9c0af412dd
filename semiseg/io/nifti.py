"""Single NIfTI files: read with every possible integrity check, and written on the grid of the input."""

import gzip
import math
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.io.gzipped import MOST_EXPANSION, opened
from semiseg.io.header import HEADER_SIZE, header_geometry, parse_header
from semiseg.io.memory import memory_for
from semiseg.io.whole import whole_numbers
from semiseg.types import Geometry

_VOXELS_START = 352
"""First byte of the voxels in a single NIfTI-1 file without extensions."""


def read_nifti(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Read the voxels of a file (X, Y, Z, or X, Y, Z, …) and their grid in mm (an unknown unit is assumed to be mm).

    The stored numeric type is kept, or float32 if the header scales the values. Axes of length 1 after the third are
    dropped. A gzip stream is recognized by its content rather than its name, and read to its end, but not beyond the
    number of voxels in the header.

    Raises DataError, naming the file, if it is empty, truncated, damaged, too large for memory or not NIfTI, has bytes
    after its voxels, has a singular or sheared affine, or has non-finite voxels, with their number.
    """
    path = Path(path)
    array, geometry, _ = _read(path)
    return require_finite(path, array), geometry


def read_nifti_label(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Do the same as ``read_nifti``, but round values that are whole numbers up to the file's precision.

    The precision is half a step of the header's scale if it turns integers into fractions, as in tools that save labels
    as floats, plus a few roundings of a float. It does not check that all values are then whole numbers.
    """
    path = Path(path)
    array, geometry, slack = _read(path)
    return whole_numbers(require_finite(path, array), slack), geometry


def read_nifti_header(path: Path) -> tuple[Geometry, tuple[int, ...]]:
    """Return the grid of a file and the shape of its array, from the header. Raises DataError as ``read_nifti``."""
    path = Path(path)
    with opened(path) as stream:
        return header_geometry(path, parse_header(path, stream.read(HEADER_SIZE)))


def _read(path: Path) -> tuple[NDArray[Any], Geometry, float]:
    """Return voxels, their grid, and the largest change of a value by the header's scaling."""
    with opened(path) as stream:
        header = parse_header(path, stream.read(HEADER_SIZE))
        geometry, shape = header_geometry(path, header)
        dtype = header.get_data_dtype()
        if dtype.kind not in "iuf":
            raise DataError(Problem(str(path), f"its voxels are {dtype}, not numbers", "Store one number per voxel."))
        offset, count = int(header["vox_offset"]), math.prod(shape)
        data = _content(path, stream, offset, count * dtype.itemsize)
        with memory_for(str(path), count * dtype.itemsize):
            array = np.frombuffer(data, dtype, count, offset).reshape(shape, order="F")
            array = _scaled(header, array.astype(dtype.newbyteorder("="), order="K", copy=True))
        return array, geometry, _slack(header, dtype)


def _content(path: Path, stream: IO[bytes] | gzip.GzipFile, offset: int, size: int) -> bytes:
    """Return all bytes of a file, which must end after ``size`` bytes of voxels."""
    asked = offset + size
    if asked > MOST_EXPANSION * path.stat().st_size:
        raise _truncated(path, asked, "more than a file of its size can hold")
    stream.seek(0)
    with memory_for(str(path), size):
        data = stream.read(asked + 1)
    if len(data) < asked:
        raise _truncated(path, asked, f"but there are only {len(data):,}")
    if len(data) > asked:
        what = f"the file is damaged: it has more than the {asked:,} bytes that its header declares"
        raise DataError(
            Problem(str(path), what, "Download or copy it again, or recreate it with the tool that wrote it.")
        )
    return data


def _truncated(path: Path, asked: int, there: str) -> DataError:
    what = f"the file is truncated: its header declares {asked:,} bytes, {there}"
    return DataError(Problem(str(path), what, "Download or copy it again."))


def _scaled(header: Any, array: NDArray[Any]) -> NDArray[Any]:
    # NIfTI-1.1: scl_slope 0 means unscaled values; nibabel then returns None.
    slope, intercept = header.get_slope_inter()
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if (slope, intercept) == (1.0, 0.0):
        return array
    with np.errstate(over="ignore"):  # reported as a non-finite voxel
        return (array * float(slope) + float(intercept)).astype(np.float32)


def _slack(header: Any, dtype: np.dtype[Any]) -> float:
    """Return half a step of the scale plus the rounding of its intercept; no half step if it would be ambiguous."""
    slope, intercept = header.get_slope_inter()
    if slope is None or dtype.kind == "f":
        return 0.0
    step = abs(slope) if abs(slope) < 0.5 else 0.0
    return float(step / 2 + 4 * np.finfo(np.float32).eps * abs(intercept or 0.0))


def require_finite(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    """Return the array of a file unchanged. Raises DataError if it has voxels that are NaN or infinite."""
    if array.dtype.kind == "f":
        bad = array.size - int(np.count_nonzero(np.isfinite(array)))
        if bad:
            raise DataError(not_finite(str(path), bad, array.size))
    return array


def not_finite(where: str, bad: int, total: int) -> Problem:
    """Return the problem of voxels that are NaN or infinite."""
    return Problem(
        where,
        f"{bad:,} of {total:,} voxels are not finite (NaN or infinity)",
        "Export the image again, or replace them with a value of your choice; semiseg does not guess one.",
    )


def nifti_label_bytes(values: NDArray[Any], geometry: Geometry) -> bytes:
    """Return the content of a ``.nii.gz`` file with stored label values (X, Y, Z), of an integer type, on a grid.

    The affine is read back bit for bit if a NIfTI-1 header can represent it, as for every affine that came from one.
    Equal arguments give equal bytes.
    """
    return nifti_bytes(values.astype(_smallest_type(values)), geometry)


def nifti_bytes(array: NDArray[Any], geometry: Geometry) -> bytes:
    """Return the content of a ``.nii.gz`` file with this array (X, Y, Z) in its own numeric type, without a date."""
    import nibabel

    image = nibabel.Nifti1Image(array, None, _header(geometry), dtype=array.dtype)
    return gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)


def nifti_header_bytes(geometry: Geometry, dtype: np.dtype[Any], slope: float) -> bytes:
    """Return what precedes the voxels in a ``.nii`` file; their order is Fortran's, and ``slope`` scales them."""
    header = _header(geometry)
    header.set_data_dtype(dtype)
    header.set_slope_inter(slope, 0)
    header["vox_offset"] = _VOXELS_START
    content: bytes = header.binaryblock
    return content.ljust(_VOXELS_START, b"\0")


def _smallest_type(values: NDArray[Any]) -> type[np.integer[Any]]:
    # The integer types that every NIfTI reader supports.
    types: tuple[type[np.integer[Any]], ...] = (np.uint8, np.int16, np.int32)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    return next(t for t in types if np.iinfo(t).min <= low and high <= np.iinfo(t).max)


def _header(geometry: Geometry) -> Any:
    """Return a header with the grid's affine: by sform and qform, by qform alone, or by the voxel size alone.

    An sform consists of 12 float32, which an affine from a file's qform or voxel size may not fit; the same fields then
    represent it. If none of the three is exact, the sform is accurate up to rounding.
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
