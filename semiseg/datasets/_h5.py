"""Shared code for the h5 files of the semi-supervised papers: ``image`` and ``label`` of a case in one file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.io.gzipped import MOST_EXPANSION
from semiseg.io.memory import memory_for
from semiseg.io.nifti import not_finite
from semiseg.messages import some
from semiseg.types import Geometry, Shape


def is_h5(path: Path) -> bool:
    """Return whether a file has the name of an h5 file."""
    return path.suffix.lower() == ".h5"


def h5_image(path: Path, axes: str) -> NDArray[Any]:
    """Return the image as stored; ``axes`` are those of the file, such as "(X, Y, Z)". Raises DataError."""
    with _open(path) as file:
        return _voxels(path, file, "image", axes)


def h5_label(path: Path, axes: str) -> NDArray[Any]:
    """Return the label as stored, which must have the image's shape. Raises DataError."""
    with _open(path) as file:
        array, image_shape = _voxels(path, file, "label", axes), _dataset(path, file, "image", axes).shape
    if array.shape != image_shape:
        what = f"image and label are on different grids: shapes {image_shape} and {array.shape}"
        raise DataError(Problem(str(path), what, "Download the file again."))
    return array


def h5_shape(path: Path, axes: str) -> Shape:
    """Return the shape of the image as stored, without reading voxels. Raises DataError."""
    with _open(path) as file:
        shape: Shape = _dataset(path, file, "image", axes).shape
    return shape


def h5_geometry(
    shape: Shape, spacing_mm: tuple[float, float, float] | None, directions: tuple[int, int, int] = (1, 1, 1)
) -> Geometry:
    """Return the grid of a volume (X, Y, Z), in voxels if no spacing is given: the files store none.

    ``directions``: 1 for an axis toward right, anterior or superior, -1 for one toward left, posterior or inferior.
    """
    sizes = spacing_mm or (1.0, 1.0, 1.0)
    affine = np.diag([*(size * way for size, way in zip(sizes, directions, strict=True)), 1.0])
    return Geometry((shape[0], shape[1], shape[2]), affine, "mm" if spacing_mm else "voxel")


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError as error:
        raise DataError(Problem(str(path), "file not found", "Check the path.")) from error
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:  # raised by h5py for a malformed file
        what = f"the file is damaged, truncated or not HDF5: {error}"
        raise DataError(Problem(str(path), what, "Download or copy it again.")) from error


def _dataset(path: Path, file: Any, name: str, axes: str) -> Any:
    """Return an array of a file, with all voxels in this file. Raises DataError if they are not, or cannot be."""
    import h5py

    link = file.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise _elsewhere(path, name, link.filename)
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise DataError(Problem(str(path), f"it has no {name!r}", "Each file must have 'image' and 'label'."))
    if found.file.filename != file.filename:  # by a link to a link
        raise _elsewhere(path, name, found.file.filename)
    pieces = found.external or (found.virtual_sources() if found.is_virtual else ())
    others = {_file_of(piece) for piece in pieces} - {"."}  # "." is this file
    if others:
        raise _elsewhere(path, name, some(sorted(others), 3))
    if found.ndim != 3 or not found.size or found.dtype.kind not in "iuf":
        what = f"{name!r} is {found.dtype} {found.shape}, not a volume {axes} of numbers"
        raise DataError(Problem(str(path), what, "Convert the file to the papers' layout."))
    size, held = _bytes(found), path.stat().st_size
    if size > MOST_EXPANSION * held:
        what = f"the file is damaged or truncated: {name!r} takes {size:,} bytes, more than {held:,} can hold"
        raise DataError(Problem(str(path), what, "Download or copy it again."))
    return found


def _elsewhere(path: Path, name: str, other: str) -> DataError:
    what = f"{name!r} is in another file ({other}), which semiseg does not open"
    return DataError(Problem(str(path), what, "Write the arrays into the file itself."))


def _file_of(source: Any) -> str:
    """Return the file name of an external piece (name, offset, size), or of a virtual dataset's source."""
    name = source.file_name if hasattr(source, "file_name") else source[0]
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _bytes(dataset: Any) -> int:
    return int(dataset.size) * int(dataset.dtype.itemsize)


def _voxels(path: Path, file: Any, name: str, axes: str) -> NDArray[Any]:
    found = _dataset(path, file, name, axes)
    with memory_for(str(path), _bytes(found)):
        array: NDArray[Any] = found[()]
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise DataError(not_finite(str(path), bad, array.size))
    return array
