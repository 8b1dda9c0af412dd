"""Voxels that a header in text describes, in the same file or in another one, read with every possible check.

SimpleITK reads these formats too, but verifies no checksum of a gzip stream, ignores bytes after the voxels, and prints
to the standard error stream.
"""

import gzip
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.io.gzipped import MOST_EXPANSION, opened
from semiseg.io.header import affine_problem, how_to_replace, looks_like
from semiseg.io.memory import memory_for
from semiseg.types import Geometry, Unit

AGAIN = "Download or copy it again, or recreate it with the tool that wrote it."
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From the axes of ITK and DICOM (left, posterior, superior) to those of ``Geometry``."""
SAVE_AGAIN = "Save it again: sitk.WriteImage(sitk.ReadImage(FILE), 'NEW.nrrd') with SimpleITK, or with 3D Slicer."
_LONGEST = 2**26
_ZLIB_OR_GZIP = 47
_FARTHEST = 1e9


@dataclass(frozen=True, slots=True)
class Stored:
    """What the header of a file declares.

    Attributes:
        path: the file itself.
        sizes: voxels along the axes of the array, the fastest first.
        spatial: positions of the three spatial axes among them.
        dtype: the numeric type, with its byte order.
        affine: affine (4, 4) float64 from voxel indices to RAS+ world coordinates.
        unit: "voxel" if the header has no spacing.
        data: the file with the voxels.
        offset: where they begin in it.
        compressed: whether they are a zlib or gzip stream.
        fields: other entries of the header, as text.
    """

    path: Path
    sizes: tuple[int, ...]
    spatial: tuple[int, ...]
    dtype: np.dtype[Any]
    affine: NDArray[np.float64]
    unit: Unit
    data: Path
    offset: int
    compressed: bool
    fields: Mapping[str, str] = field(default_factory=dict)

    def geometry(self) -> tuple[Geometry, tuple[int, ...]]:
        """Return the grid and the shape of the array, spatial axes first. Raises DataError for an invalid grid."""
        if len(self.spatial) != 3 or min(self.sizes) < 1:
            what = f"it is not a volume: its shape is {self.sizes}"
            raise DataError(Problem(str(self.path), what, "Give three-dimensional images."))
        if problem := affine_problem(self.affine, "direction, spacing"):
            raise DataError(Problem(str(self.path), *problem))
        x, y, z = (self.sizes[axis] for axis in self.spatial)
        return Geometry((x, y, z), self.affine, self.unit), (x, y, z, *(self.sizes[axis] for axis in self._others))

    def voxels(self) -> NDArray[Any]:
        """Return the array: spatial axes first, then others longer than 1. Raises DataError for damaged voxels."""
        shape = self.geometry()[1]
        size = math.prod(self.sizes) * self.dtype.itemsize
        with opened(self.data) as stream:
            stream.seek(self.offset)
            # A detached file that is a gzip stream as a whole is decompressed by ``opened``.
            packed = self.compressed and not (isinstance(stream, gzip.GzipFile) and self.data != self.path)
            _require_possible(self.data, size)
            with memory_for(str(self.data), size):
                data = (
                    _decompressed(self.data, stream, size)
                    if packed
                    else _exactly(self.data, stream.read(size + 1), size)
                )
        with memory_for(str(self.path), size):
            array = np.frombuffer(data, self.dtype).reshape(self.sizes, order="F")
            alone = [axis for axis in range(len(self.sizes)) if axis not in {*self.spatial, *self._others}]
            order = (*self.spatial, *self._others, *alone)
            return array.transpose(order).reshape(shape, order="A").astype(self.dtype.newbyteorder("="), copy=True)

    @property
    def _others(self) -> tuple[int, ...]:
        return tuple(axis for axis, size in enumerate(self.sizes) if axis not in self.spatial and size > 1)


def _decompressed(path: Path, stream: IO[bytes] | gzip.GzipFile, size: int) -> bytes:
    """Return the content of the zlib or gzip stream that ends the file; its checksum is verified."""
    engine = zlib.decompressobj(wbits=_ZLIB_OR_GZIP)
    data = engine.decompress(stream.read(), size + 1)
    if len(data) == size:  # the end of the stream may still be pending
        data += engine.decompress(engine.unconsumed_tail, 1)
    if len(data) <= size and not engine.eof:
        raise DataError(Problem(str(path), "the file is truncated: its compressed voxels have no end", AGAIN))
    data = _exactly(path, data, size)
    if engine.unused_data.strip(b"\0\r\n"):
        what = f"the file is damaged: {len(engine.unused_data):,} bytes follow its compressed voxels"
        raise DataError(Problem(str(path), what, AGAIN))
    return data


def _require_possible(path: Path, size: int) -> None:
    if size > MOST_EXPANSION * path.stat().st_size:
        what = f"the file is truncated: its header declares {size:,} bytes, more than a file of its size can hold"
        raise DataError(Problem(str(path), what, AGAIN))


def _exactly(path: Path, data: bytes, size: int) -> bytes:
    if len(data) < size:
        what = f"the file is truncated: its header declares {size:,} bytes of voxels, but there are only {len(data):,}"
        raise DataError(Problem(str(path), what, AGAIN))
    if len(data) > size:
        what = f"the file is damaged: it has more than the {size:,} bytes of voxels that its header declares"
        raise DataError(Problem(str(path), what, AGAIN))
    return data


def require_beginning(stream: IO[bytes] | gzip.GzipFile, path: Path, pattern: bytes, what: str, ending: str) -> None:
    """Check that a file begins as one of its format, ``what``, and go back to its beginning. Raises DataError."""
    start = stream.read(200)
    if not start:
        raise DataError(Problem(str(path), "the file is empty", "Download or copy it again."))
    if not re.match(pattern, start):
        raise DataError(Problem(str(path), f"the file is not {what}{looks_like(start)}", how_to_replace(start, ending)))
    stream.seek(0)


def header_lines(stream: IO[bytes] | gzip.GzipFile, path: Path) -> list[str]:
    """Return the lines up to an empty line or the end of the file, without comments. Raises DataError.

    Bytes that are not UTF-8 are read as Latin-1. The stream is left at the first byte after these lines.
    """
    lines: list[str] = []
    left = _LONGEST
    while line := stream.readline(left):
        left -= len(line)
        if left <= 0 or (not line.endswith(b"\n") and b"\0" in line):
            raise DataError(Problem(str(path), "its header has no end", AGAIN))
        text = decoded(line).rstrip("\r\n")
        if not text or not (line.endswith(b"\n") or ":" in text):  # the latter in a truncated file
            break
        if not text.startswith("#"):
            lines.append(text)
    return lines


def decoded(line: bytes) -> str:
    """Return the text of some bytes, UTF-8 or else Latin-1."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def data_beside(path: Path, name: str) -> Path:
    """Return the file with the voxels that a header names. Raises DataError if it is not beside the header."""
    inner = PurePosixPath(name.replace("\\", "/"))
    if not name or inner.is_absolute() or ".." in inner.parts or {"%", "\0"} & {*name} or name == "LIST":
        raise DataError(Problem(str(path), f"its voxels are not in one file beside it, but in {name!r}", SAVE_AGAIN))
    return path.parent / inner


def damaged_header(path: Path, what: str) -> DataError:
    """Return the error of a header that cannot be understood."""
    return DataError(Problem(str(path), f"its header is damaged or not supported: {what}", SAVE_AGAIN))


def numbers(text: str) -> list[float]:
    """Return the numbers in a text, separated by spaces. Raises ValueError, also for those that no length can be."""
    found = [float(word) for word in text.split()]
    if any(not abs(number) < _FARTHEST for number in found):
        raise ValueError(f"{text.strip()[:60]!r} are not lengths")
    return found
