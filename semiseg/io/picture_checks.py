"""What makes a picture unusable as an image or as a mask, from its header: the problem and its fix."""

from dataclasses import dataclass
from typing import Any

_TURNED = range(2, 9)
_ORIENTATION = 0x0112
_LOSSY = {"jpeg", "tiff_jpeg", "webp"}
_MOST_PIXELS = 2**28
_PILLOW = "With Pillow:"

Found = tuple[str, str] | None
"""What is wrong, and how to fix it; None if nothing is."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture before its pixels are decoded.

    ``image`` is Pillow's object; ``kind`` is PNG, JPEG or TIFF; ``bits`` are those of one sample in the file.
    """

    image: Any
    kind: str
    bits: int


def image_problem(picture: Opened) -> Found:
    """Return why a picture cannot be an image: it must be gray or RGB, of one page and not rotated."""
    mode = picture.image.mode
    if mode == "P":
        what = "it is an indexed picture: its pixels are numbers of colors in a palette, not intensities"
        return what, f"Convert it to RGB or gray. {_PILLOW} Image.open(FILE).convert('RGB').save(NEW)."
    return _common_problem(picture) or _depth_problem(picture)


def mask_problem(picture: Opened) -> Found:
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


def size_problem(picture: Opened) -> Found:
    """Return why a picture is too large: a small file may declare billions of pixels."""
    width, height = picture.image.size
    if width * height <= _MOST_PIXELS:
        return None
    what = f"it declares {width:,} x {height:,} pixels; at most {_MOST_PIXELS:,} are read"
    return what, "If it is not that large, download or copy it again. Otherwise cut it into tiles."


def _common_problem(picture: Opened) -> Found:
    image = picture.image
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        parts = "pages" if picture.kind == "TIFF" else "frames"
        return f"it has {frames} {parts}", "Save each as a separate picture; give a volume as NIfTI."
    if "a" in image.mode.lower() and image.mode != "LAB":
        what = f"it has an alpha channel (transparency): its mode is {image.mode}"
        to = "L" if image.mode.startswith("L") else "RGB"
        return what, f"Save it without. {_PILLOW} Image.open(FILE).convert({to!r}).save(NEW)."
    if image.mode not in {"1", "L", "I", "F", "P", "RGB"} and not image.mode.startswith("I;16"):
        fix = f"Convert it to RGB or gray. {_PILLOW} Image.open(FILE).convert('RGB').save(NEW)."
        return f"its colors are {image.mode}, not gray or RGB", fix
    if (orientation := _orientation(picture)) in _TURNED:
        what = f"by its EXIF tag (Orientation {orientation}), it is displayed rotated or mirrored"
        return what, (
            "Programs differ in whether they apply the tag, so a mask may fit either way. If its mask fits the\n"
            f"    picture as displayed, apply it. {_PILLOW} ImageOps.exif_transpose(Image.open(FILE)).save(NEW).\n"
            "    Otherwise remove the tag: exiftool -Orientation= FILE."
        )
    return None


def _orientation(picture: Opened) -> int:
    # In a PNG, tags may follow the pixels, which Pillow would decode to find them.
    if picture.kind == "PNG" and picture.image.tile and "exif" not in picture.image.info:
        return 0
    try:
        return int(picture.image.getexif().get(_ORIENTATION, 0))
    except Exception:  # of many types, for malformed tags, which other programs ignore as well
        return 0


def _depth_problem(picture: Opened) -> Found:
    if picture.image.mode == "RGB" and picture.bits > 8:
        what = f"it has {picture.bits} bits per color, of which only 8 would be read"
        return what, "Save it with 8 bits per color, or as three gray pictures of 16 bits, CASE_0000 to CASE_0002."
    return None
