"""A case's slices as strips of small pictures, so that a page can show them without the volumes."""

import base64
import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semiseg.render.document import ViewedCase
from semiseg.render.preview import best_slice, displayed, radiological

MAX_SLICES = 64
MAX_SIDE = 192
MAX_PICTURE = 384
MARGIN = 3


@dataclass(frozen=True, slots=True)
class Sprites:
    """A case's axial slices, stacked vertically in each strip, in radiological orientation.

    Attributes:
        width, height: size of one slice in pixels.
        size: size of one slice in mm, or of a picture in pixels: across, down.
        slices: index of each slice in the volume, from 0, ascending.
        start: position in ``slices`` of the slice shown first.
        image: data URI of a picture (height × slices, width), gray or in color.
        labels: data URIs of pictures of that shape by title, with a palette; pixel values are class indices.
            Class i of n has the gray i × (255 // (n - 1)): far enough apart for browsers that alter colors slightly.
        note: which slices these are, and how much they are shrunk.
        picture: whether the case is a 2D picture, which is shown as a whole.
    """

    width: int
    height: int
    size: tuple[float, float]
    slices: tuple[int, ...]
    start: int
    image: str
    labels: dict[str, str]
    note: str
    picture: bool = False


def make_sprites(case: ViewedCase, classes: int) -> Sprites:
    """Crop a case to its content, take at most MAX_SLICES slices, and shrink them to at most MAX_SIDE pixels.

    Ignored voxels are shown as background, as the note says.

    Args:
        case: image and label maps (X, Y, Z) of one shape; the first label map determines the slice shown first.
        classes: number of classes, including background, at most 256.

    Raises:
        ValueError: if a label map does not have the image's shape, or has an index that is not a class.
    """
    note = " Ignored voxels are shown as background." if case.has_ignored else ""
    case = replace(case, labels=case.of_classes())
    _check(case, classes)
    across, down, through = _box(case)
    truth = next(iter(case.labels.values()), np.zeros(case.image.shape[:3], np.uint8))
    best = best_slice(truth)
    slices = _thin(through, best)
    chosen = np.ix_(across, down, slices)
    columns, rows = len(across), len(down)
    scale = min(1.0, (MAX_PICTURE if case.picture else MAX_SIDE) / max(rows, columns))
    width, height = max(round(columns * scale), 1), max(round(rows * scale), 1)
    shown = displayed(case, case.image[chosen])
    return Sprites(
        width=width,
        height=height,
        size=(columns * case.spacing[0], rows * case.spacing[1]),
        slices=slices,
        start=min(range(len(slices)), key=lambda i: abs(slices[i] - best)),
        image=_uri(_strip(shown, width, height, smooth=True)),
        labels={
            title: _uri(_strip(labels[chosen], width, height, smooth=False), classes)
            for title, labels in case.labels.items()
        },
        note=(_picture_note(case, scale) if case.picture else _note(slices, case.image.shape[2], scale)) + note,
        picture=case.picture,
    )


def _check(case: ViewedCase, classes: int) -> None:
    for title, labels in case.labels.items():
        if labels.shape != case.image.shape[:3]:
            raise ValueError(f"{case.name}: {title!r} has shape {labels.shape}, the image {case.image.shape}.")
        if labels.max(initial=0) >= classes:
            raise ValueError(f"{case.name}: {title!r} has class {labels.max()}, but there are {classes} classes.")


def _box(case: ViewedCase) -> tuple[range, range, range]:
    if case.picture:
        x, y, z = (range(n) for n in case.image.shape[:3])
        return x, y, z
    # Do not cut off voxels of any label map, even where the image is empty.
    inside = case.image != 0
    for labels in case.labels.values():
        inside = inside | (labels > 0)
    found = []
    for axes, size, margin in zip(((1, 2), (0, 2), (0, 1)), inside.shape, (MARGIN, MARGIN, 0), strict=True):
        hit = np.flatnonzero(inside.any(axis=axes))
        first, last = (int(hit[0]), int(hit[-1])) if hit.size else (0, size - 1)
        found.append(range(max(first - margin, 0), min(last + 1 + margin, size)))
    return found[0], found[1], found[2]


def _thin(through: range, best: int) -> tuple[int, ...]:
    """Return all slices, or MAX_SLICES evenly spaced ones; ``best`` is among them if it lies within."""
    kept = np.linspace(through.start, through.stop - 1, min(len(through), MAX_SLICES)).round().astype(int)
    if best in through:
        kept[np.abs(kept - best).argmin()] = best
    return tuple(kept.tolist())


def _strip(volume: NDArray[np.uint8], width: int, height: int, smooth: bool) -> NDArray[np.uint8]:
    """Reshape (X, Y, slices) to (slices × height, width), or (X, Y, slices, 3) to (slices × height, width, 3)."""
    from PIL import Image

    method = Image.Resampling.BOX if smooth else Image.Resampling.NEAREST
    pictures = np.moveaxis(radiological(volume), 2, 0)
    if pictures.shape[1:3] != (height, width):
        resized = (Image.fromarray(np.ascontiguousarray(p)).resize((width, height), method) for p in pictures)
        pictures = np.stack([np.asarray(picture) for picture in resized])
    return np.ascontiguousarray(pictures.reshape(-1, *pictures.shape[2:]))


def _uri(strip: NDArray[np.uint8], classes: int = 0) -> str:
    """Return a PNG of grays or colors, or of ``classes`` class indices."""
    from PIL import Image

    image = Image.fromarray(strip)
    if classes:
        step = 255 // max(classes - 1, 1)
        image = image.convert("P")
        image.putpalette([value for index in range(classes) for value in (index * step,) * 3])
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _picture_note(case: ViewedCase, scale: float) -> str:
    width, height = case.image.shape[:2]
    return f"{width} x {height} pixels{f', shrunk to {scale:.0%}' if scale < 1 else ''}."


def _note(slices: tuple[int, ...], depth: int, scale: float) -> str:
    every = len(slices) == slices[-1] - slices[0] + 1
    text = f"{'Axial slices' if every else f'{len(slices)} axial slices between'} {slices[0]} "
    text += f"{'to' if every else 'and'} {slices[-1]} of {depth}, numbered from 0"
    return f"{text}; shrunk to {scale:.0%}." if scale < 1 else f"{text}."
