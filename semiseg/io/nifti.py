"""One NIfTI file: read with every check that its bytes allow, written in the grid that it was predicted on."""

import gzip
import math
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.io.atomic import write_bytes
from semiseg.io.gzipped import MOST_EXPANSION, opened
from semiseg.io.header import HEADER_SIZE, header_geometry, parse_header
from semiseg.io.memory import memory_for
from semiseg.io.whole import whole_numbers
from semiseg.types import Geometry


def read_nifti(path: Path) -> tuple[NDArray[Any], Geometry]:
    """The voxels of a file (X, Y, Z, or X, Y, Z, …) and their grid in mm (an unknown unit is taken for mm).

    The stored numeric type is kept; where the header scales the values, they are float32. Axes of length 1 after the
    third are left out. A gzip stream is read to its end, but no further than the header says that there are voxels,
    and it is the content that says whether there is one, not the name.

    Raises DataError, naming the file, for one that is empty, truncated, damaged, too large for the memory or no NIfTI,
    for bytes behind its voxels, for a singular or sheared affine, and for voxels that are not finite, with their
    number.
    """
    path = Path(path)
    array, geometry, _ = _read(path)
    return _finite(path, array), geometry


def read_nifti_label(path: Path) -> tuple[NDArray[Any], Geometry]:
    """As ``read_nifti``, but that a value as near to a whole number as the file can say is that number.

    That is half a step of the header's scale where it makes fractions of integers, as tools do that save labels as
    floats, and a few roundings of a float. Whether all are whole numbers then is not looked at.
    """
    path = Path(path)
    array, geometry, slack = _read(path)
    return whole_numbers(_finite(path, array), slack), geometry


def read_nifti_header(path: Path) -> tuple[Geometry, tuple[int, ...]]:
    """The grid of a file and the shape of its array, from the header alone. Raises DataError as ``read_nifti``."""
    path = Path(path)
    with opened(path) as stream:
        return header_geometry(path, parse_header(path, stream.read(HEADER_SIZE)))


def _read(path: Path) -> tuple[NDArray[Any], Geometry, float]:
    """Voxels, their grid, and by how much the header's scale may have moved a value."""
    with opened(path) as stream:
        header = parse_header(path, stream.read(HEADER_SIZE))
        geometry, shape = header_geometry(path, header)
        dtype = header.get_data_dtype()
        if dtype.kind not in "iuf":
            raise DataError(Problem(str(path), f"its voxels are {dtype}, not numbers", "Store one number a voxel."))
        offset, count = int(header["vox_offset"]), math.prod(shape)
        data = _content(path, stream, offset, count * dtype.itemsize)
        with memory_for(str(path), count * dtype.itemsize):
            array = np.frombuffer(data, dtype, count, offset).reshape(shape, order="F")
            array = _scaled(header, array.astype(dtype.newbyteorder("="), order="K", copy=True))
        return array, geometry, _slack(header, dtype)


def _content(path: Path, stream: IO[bytes] | gzip.GzipFile, offset: int, size: int) -> bytes:
    """All bytes of a file, which has to end after ``size`` bytes of voxels."""
    asked = offset + size
    if asked > MOST_EXPANSION * path.stat().st_size:
        raise _truncated(path, asked, "which a file of its size cannot hold")
    stream.seek(0)
    with memory_for(str(path), size):
        data = stream.read(asked + 1)
    if len(data) < asked:
        raise _truncated(path, asked, f"there are {len(data):,}")
    if len(data) > asked:
        what = f"the file is damaged: its header declares {asked:,} bytes, and more follow"
        raise DataError(Problem(str(path), what, "Download or copy it again, or write it anew by what made it."))
    return data


def _truncated(path: Path, asked: int, there: str) -> DataError:
    what = f"the file is truncated: its header asks for {asked:,} bytes, {there}"
    return DataError(Problem(str(path), what, "Download or copy it again."))


def _scaled(header: Any, array: NDArray[Any]) -> NDArray[Any]:
    # NIfTI-1.1: scl_slope 0 means that values are stored as they are; nibabel gives None then.
    slope, intercept = header.get_slope_inter()
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    if (slope, intercept) == (1.0, 0.0):
        return array
    with np.errstate(over="ignore"):  # told as a voxel that is not finite
        return (array * float(slope) + float(intercept)).astype(np.float32)


def _slack(header: Any, dtype: np.dtype[Any]) -> float:
    """Half a step of the scale, and the rounding of its intercept; no step where halves cannot be told apart."""
    slope, intercept = header.get_slope_inter()
    if slope is None or dtype.kind == "f":
        return 0.0
    step = abs(slope) if abs(slope) < 0.5 else 0.0
    return float(step / 2 + 4 * np.finfo(np.float32).eps * abs(intercept or 0.0))


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
