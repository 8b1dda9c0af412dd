"""Single pictures (PNG, JPEG, TIFF): read as images or masks with integrity checks; masks written as PNG."""

import io
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.io.gzipped import MOST_EXPANSION, opened
from semiseg.io.header import how_to_replace, looks_like
from semiseg.io.memory import memory_for
from semiseg.io.nifti import require_finite
from semiseg.io.picture_checks import Found, Opened, image_problem, mask_problem, size_problem
from semiseg.types import Geometry

LARGEST_VALUE = 65535
"""The largest value that a PNG can store."""
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
_SIGNATURES |= {b"II+\0": "TIFF", b"MM\0+": "TIFF"}  # BigTIFF
_Check = Callable[[Opened], Found]
_LEFT_POSTERIOR = np.diag([-1.0, -1.0, 1.0, 1.0])
_AGAIN = "Download or copy it again, or save it again with the program that wrote it."


def read_picture(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Read a gray picture (X, Y, 1) or an RGB picture (X, Y, 1, 3), and its grid in pixels.

    The first axis runs to the right, the second one down. The grid's affine directs them to the patient's left and
    back, as in DICOM: in radiological orientation, a slice (X, Y) of a picture is displayed as the picture itself.
    The stored values are kept: 16-bit gray as uint16.

    Raises DataError, naming the file, if it is empty, truncated, damaged, too large, or not a PNG, JPEG or TIFF
    picture; if it has transparency, an indexed palette, other colors than gray or RGB, more than 8 bits per color,
    several pages or frames, or an EXIF tag by which it is displayed rotated.
    """
    return _read(path, image_problem)


def read_mask(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Read the label values (X, Y, 1) of a gray or indexed (palette) picture, and its grid in pixels.

    The values of an indexed picture are its indices, those of a gray one of 1, 2 or 4 bits the stored numbers. Raises
    DataError as ``read_picture``, and for RGB and JPEG.
    """
    return _read(path, mask_problem)


def read_picture_header(path: Path, *, mask: bool = False) -> tuple[Geometry, tuple[int, ...]]:
    """Return the grid and the shape of the array of a picture or mask, from its header. Raises DataError likewise."""
    with opened(path) as stream, _picture(path, stream, mask_problem if mask else image_problem) as picture:
        return _grid(picture), _shape(picture)


def mask_bytes(values: NDArray[Any]) -> bytes:
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


def _read(path: Path, check: _Check) -> tuple[NDArray[Any], Geometry]:
    path = Path(path)
    with opened(path) as stream, _picture(path, stream, check) as picture:
        size = math.prod(_shape(picture)) * max(picture.bits // 8, 1)
        if picture.kind == "PNG":
            if size > MOST_EXPANSION * path.stat().st_size:
                what = f"the file is truncated: its header declares {size:,} bytes of pixels, more than a file of its"
                raise DataError(Problem(str(path), f"{what} size can hold", _AGAIN))
            _require_png_checksums(path, stream)
        with memory_for(str(path), size):
            picture.image.load()
            if problem := check(picture):  # with the tags that follow the pixels
                raise DataError(Problem(str(path), *problem))
            pixels = np.array(picture.image)
        rows = _stored(pixels, picture)
        array = rows.T[:, :, None] if rows.ndim == 2 else rows.transpose(1, 0, 2)[:, :, None, :]
        geometry = _grid(picture)
    return require_finite(path, array), geometry


@contextmanager
def _picture(path: Path, stream: IO[bytes] | Any, check: _Check) -> Iterator[Opened]:
    """Open a picture; errors of Pillow within the block, which are of many types, are damage of the file."""
    start = stream.read(200)
    if not start:
        raise DataError(Problem(str(path), "the file is empty", "Download or copy it again."))
    kind = next((name for signature, name in _SIGNATURES.items() if start.startswith(signature)), "")
    if not kind:
        what = f"the file is not a PNG, JPEG or TIFF picture{looks_like(start)}"
        raise DataError(Problem(str(path), what, how_to_replace(start, "PNG")))
    stream.seek(0)
    try:
        picture = _open(stream, kind, start)
        if problem := size_problem(picture) or check(picture):
            raise DataError(Problem(str(path), *problem))
        yield picture
    except DataError:
        raise
    except Exception as error:
        truncated = "truncated" in str(error).lower() or isinstance(error, EOFError)
        what = "the file is truncated" if truncated else "the file is damaged"
        raise DataError(Problem(str(path), f"{what}: {str(error).rstrip('.') or repr(error)}", _AGAIN)) from error


def _open(stream: Any, kind: str, start: bytes) -> Opened:
    # Image.open would also try other formats, and print a warning for large pictures.
    from PIL.JpegImagePlugin import jpeg_factory
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile

    if kind == "PNG":
        return Opened(PngImageFile(stream), kind, start[24])
    if kind == "JPEG":
        return Opened(jpeg_factory(stream), kind, 8)
    image = TiffImageFile(stream)
    return Opened(image, kind, max(image.tag_v2.get(258, (1,))))


def _shape(picture: Opened) -> tuple[int, ...]:
    width, height = picture.image.size
    return (width, height, 1, 3) if picture.image.mode == "RGB" else (width, height, 1)


def _grid(picture: Opened) -> Geometry:
    width, height = picture.image.size
    return Geometry((width, height, 1), _LEFT_POSTERIOR.copy(), "pixel")


def _stored(pixels: NDArray[Any], picture: Opened) -> NDArray[Any]:
    """Return the numbers in the file from those of Pillow, which scales gray levels of fewer than 8 bits to 255."""
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8)
    if picture.image.mode == "L" and picture.bits in {2, 4}:
        return pixels // np.uint8(255 // (2**picture.bits - 1))
    if picture.kind == "PNG" and picture.bits == 16:
        return pixels.astype(np.uint16)  # int32 in earlier versions of Pillow
    return pixels.astype(pixels.dtype.newbyteorder("="))


def _require_png_checksums(path: Path, stream: Any) -> None:
    """Require the checksum of every chunk, which Pillow does not verify for pixels, and the final chunk."""
    stream.seek(8)
    while True:
        head = stream.read(8)
        size, name = struct.unpack(">I4s", head) if len(head) == 8 else (0, b"")
        content = stream.read(size + 4) if name else b""
        if len(content) < size + 4 or not name:
            raise DataError(Problem(str(path), "the file is truncated: it has no end (IEND)", _AGAIN))
        if zlib.crc32(name + content[:size]) != int.from_bytes(content[size:], "big"):
            what = f"the file is damaged: the checksum of its part {name.decode('latin-1')} is wrong"
            raise DataError(Problem(str(path), what, _AGAIN))
        if name == b"IEND":
            break
    stream.seek(0)
