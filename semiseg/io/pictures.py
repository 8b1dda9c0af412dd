"""Single pictures (PNG, JPEG, TIFF): read as images or as masks, with every possible integrity check."""

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem
from semiseg.io.gzipped import MOST_EXPANSION, opened
from semiseg.io.header import how_to_replace, looks_like
from semiseg.io.memory import memory_for
from semiseg.io.nifti import require_finite
from semiseg.types import Geometry

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
_SIGNATURES |= {b"II+\0": "TIFF", b"MM\0+": "TIFF"}  # BigTIFF
_LEFT_POSTERIOR = np.diag([-1.0, -1.0, 1.0, 1.0])
_AGAIN = "Download or copy it again, or save it again with the program that wrote it."
_TURNED = range(2, 9)
_ORIENTATION, _PHOTOMETRIC, _SAMPLE_FORMAT = 0x0112, 262, 339
_LOSSY = {"jpeg", "tiff_jpeg", "webp"}
_MOST_PIXELS = 2**28
_PILLOW = "With Pillow:"

_Found = tuple[str, str] | None
"""What is wrong, and how to fix it; None if nothing is."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A picture before its pixels are decoded.

    ``image`` is Pillow's object; ``kind`` is PNG, JPEG or TIFF; ``bits`` are those of one sample in the file.
    """

    image: Any
    kind: str
    bits: int


_Check = Callable[[_Opened], _Found]


def read_picture(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Read a gray picture (X, Y, 1) or an RGB picture (X, Y, 1, 3), and its grid in pixels.

    The first axis runs to the right, the second one down. The grid's affine directs them to the patient's left and
    back, as in DICOM: in radiological orientation, a slice (X, Y) of a picture is displayed as the picture itself.
    The stored values are kept: 16-bit gray as uint16.

    Raises DataError, naming the file, if it is empty, truncated, damaged, too large, or not a PNG, JPEG or TIFF
    picture; if it has transparency, an indexed palette, other colors than gray or RGB, more than 8 bits per color,
    several pages or frames, or an EXIF tag by which it is displayed rotated.
    """
    return _read(path, _image_problem)


def read_mask(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Read the label values (X, Y, 1) of a gray or indexed (palette) picture, and its grid in pixels.

    The values of an indexed picture are its indices, those of a gray one of 1, 2 or 4 bits the stored numbers. Raises
    DataError as ``read_picture``, and for RGB and JPEG.
    """
    return _read(path, _mask_problem)


def read_picture_header(path: Path, *, mask: bool = False) -> tuple[Geometry, tuple[int, ...]]:
    """Return the grid and the shape of the array of a picture or mask, from its header. Raises DataError likewise."""
    with opened(path) as stream, _picture(path, stream, _mask_problem if mask else _image_problem) as picture:
        return _grid(picture), _shape(picture)


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
def _picture(path: Path, stream: IO[bytes] | Any, check: _Check) -> Iterator[_Opened]:
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
        if problem := _size_problem(picture) or check(picture):
            raise DataError(Problem(str(path), *problem))
        yield picture
    except DataError:
        raise
    except Exception as error:
        if "unknown pixel mode" in str(error):
            fix = "Save it with 8 or 16 bits per pixel, or as 32-bit floating-point numbers."
            raise DataError(Problem(str(path), "its pixels are of a type that is not read", fix)) from error
        truncated = "truncated" in str(error).lower() or isinstance(error, EOFError)
        what = "the file is truncated" if truncated else "the file is damaged"
        raise DataError(Problem(str(path), f"{what}: {str(error).rstrip('.') or repr(error)}", _AGAIN)) from error


def _open(stream: Any, kind: str, start: bytes) -> _Opened:
    # Image.open would also try other formats, and print a warning for large pictures.
    from PIL.JpegImagePlugin import jpeg_factory
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile

    if kind == "PNG":
        return _Opened(PngImageFile(stream), kind, start[24])
    if kind == "JPEG":
        return _Opened(jpeg_factory(stream), kind, 8)
    image = TiffImageFile(stream)
    return _Opened(image, kind, max(image.tag_v2.get(258, (1,))))


def picture_grid(width: int, height: int) -> Geometry:
    """Return the grid of a picture, as of ``read_picture``."""
    return Geometry((width, height, 1), _LEFT_POSTERIOR.copy(), "pixel")


def _shape(picture: _Opened) -> tuple[int, ...]:
    width, height = picture.image.size
    return (width, height, 1, 3) if picture.image.mode == "RGB" else (width, height, 1)


def _grid(picture: _Opened) -> Geometry:
    return picture_grid(*picture.image.size)


def _stored(pixels: NDArray[Any], picture: _Opened) -> NDArray[Any]:
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


def _image_problem(picture: _Opened) -> _Found:
    """Return why a picture cannot be an image: it must be gray or RGB, of one page and not rotated."""
    mode = picture.image.mode
    if mode == "P":
        what = "it is an indexed picture: its pixels are numbers of colors in a palette, not intensities"
        return what, f"Convert it to RGB or gray. {_PILLOW} Image.open(FILE).convert('RGB').save(NEW)."
    return _common_problem(picture) or _depth_problem(picture)


def _mask_problem(picture: _Opened) -> _Found:
    """Return why a picture cannot be a mask: it must be gray or indexed, and compressed without loss."""
    image = picture.image
    if picture.kind == "JPEG" or image.info.get("compression") in _LOSSY:
        what = "it is a mask with JPEG compression, which changes values"
        return what, "Export the mask again as PNG: converting this file would keep the wrong values."
    if image.mode == "RGB" and not _common_problem(picture):
        what = "it is an RGB picture, but a mask has one value per pixel"
        return what, (
            "Write a gray or indexed PNG with a number for each class, 0 for background. If its three channels are\n"
            f"    equal, {_PILLOW.lower()} Image.open(FILE).convert('L').save(NEW)."
        )
    return _common_problem(picture)


def _size_problem(picture: _Opened) -> _Found:
    """Return why a picture is too large: a small file may declare billions of pixels."""
    width, height = picture.image.size
    if width * height <= _MOST_PIXELS:
        return None
    what = f"it declares {width:,} x {height:,} pixels; at most {_MOST_PIXELS:,} are read"
    return what, "If it is not that large, download or copy it again. Otherwise cut it into tiles."


def _common_problem(picture: _Opened) -> _Found:
    image = picture.image
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        parts = "pages" if picture.kind == "TIFF" else "frames"
        if picture.kind == "JPEG":  # with a thumbnail or a gain map, as some phones write
            return f"it has {frames} pictures", f"Save the first. {_PILLOW} Image.open(FILE).convert('RGB').save(NEW)."
        return f"it has {frames} {parts}", "Save each as a separate picture; give a volume as NIfTI."
    if "a" in image.mode.lower() and image.mode != "LAB":
        what = f"it has an alpha channel (transparency): its mode is {image.mode}"
        to = "L" if image.mode.startswith("L") else "RGB"
        return what, f"Save it without. {_PILLOW} Image.open(FILE).convert({to!r}).save(NEW)."
    if image.mode not in {"1", "L", "I", "F", "P", "RGB"} and not image.mode.startswith("I;16"):
        fix = f"Convert it to RGB or gray. {_PILLOW} Image.open(FILE).convert('RGB').save(NEW)."
        return f"its colors are {image.mode}, not gray or RGB", fix
    return _tiff_problem(picture) or _orientation_problem(picture)


def _tiff_problem(picture: _Opened) -> _Found:
    """Return which numbers of a TIFF Pillow would read as others."""
    tags = picture.image.tag_v2 if picture.kind == "TIFF" else {}
    unsigned, signed = (kind in tags.get(_SAMPLE_FORMAT, (1,)) for kind in (1, 2))
    if (signed and picture.bits == 8) or (unsigned and picture.bits == 32):
        sign = "signed" if signed else "unsigned"
        what = f"its pixels are {sign} numbers of {picture.bits} bits, which would be read as others"
        return what, "Save it with unsigned numbers of 8 or 16 bits."
    if tags.get(_PHOTOMETRIC) == 0 and picture.bits > 1:
        what = "it stores white as 0 (MinIsWhite), so that values would be read inverted"
        return what, f"Save it as PNG, and check the values. {_PILLOW} Image.open(FILE).save(NEW)."
    return None


def _orientation_problem(picture: _Opened) -> _Found:
    if (orientation := _orientation(picture)) in _TURNED:
        what = f"by its EXIF tag (Orientation {orientation}), it is displayed rotated or mirrored"
        return what, (
            "Programs differ in whether they apply the tag, so a mask may fit either way. If its mask fits the\n"
            f"    picture as displayed, apply it. {_PILLOW} ImageOps.exif_transpose(Image.open(FILE)).save(NEW).\n"
            "    Otherwise remove the tag: exiftool -Orientation= FILE."
        )
    return None


def _orientation(picture: _Opened) -> int:
    # In a PNG, tags may follow the pixels, which Pillow would decode to find them.
    if picture.kind == "PNG" and picture.image.tile and "exif" not in picture.image.info:
        return 0
    try:
        return int(picture.image.getexif().get(_ORIENTATION, 0))
    except Exception:  # of many types, for malformed tags, which other programs ignore as well
        return 0


def _depth_problem(picture: _Opened) -> _Found:
    if picture.image.mode == "RGB" and picture.bits > 8:
        what = f"it has {picture.bits} bits per color, of which only 8 would be read"
        return what, "Save it with 8 bits per color, or as three gray pictures of 16 bits, CASE_0000 to CASE_0002."
    return None
