"""A picture of predictions next to the truth: one axial slice per case, in radiological orientation, or 2D images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.io.atomic import atomic_file
from semiseg.render.document import ViewedCase
from semiseg.types import IGNORED

GRAY = (150, 150, 150)
"""Color of ignored voxels."""
COLORS = ((230, 60, 60), (70, 170, 80), (250, 200, 50), (70, 120, 230), (200, 90, 210), (60, 200, 210))
OPACITY = 0.5
PANEL = 256
MARGIN = 8
HEADER = 28
BACKGROUND, TEXT = (18, 18, 20), (230, 230, 230)


def write_preview(path: Path, cases: Sequence[ViewedCase], classes: Sequence[str]) -> None:
    """Write a PNG: one row per case, with its image alone and under each label map; classes are named below.

    Ignored voxels of a reference are gray.
    """
    from PIL import Image, ImageDraw

    titles = ["image", *cases[0].labels]
    rows = [_row(case) for case in cases]
    width = MARGIN + len(titles) * (PANEL + MARGIN)
    height = HEADER + len(rows) * (PANEL + MARGIN) + HEADER
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    font = _font()
    for column, title in enumerate(titles):
        draw.text((MARGIN + column * (PANEL + MARGIN), 6), title, TEXT, font)
    for index, (case, panels) in enumerate(zip(cases, rows, strict=True)):
        top = HEADER + index * (PANEL + MARGIN)
        for column, panel in enumerate(panels):
            canvas.paste(panel, (MARGIN + column * (PANEL + MARGIN), top))
        draw.text((MARGIN + 4, top + PANEL - 20), case.name, TEXT, font)
    _legend(draw, font, classes, any(case.has_ignored for case in cases), height - HEADER + 4)
    with atomic_file(path) as temporary:
        canvas.save(temporary)


def best_slice(labels: NDArray[np.uint8]) -> int:
    """Return the axial slice with the most foreground; the middle one if there is none."""
    counts = (labels > 0).sum(axis=(0, 1))
    return int(counts.argmax()) if counts.any() else labels.shape[2] // 2


def overlay(gray: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return class colors (H, W) over a gray picture (H, W) or one in color (H, W, 3), as (H, W, 3)."""
    picture = _in_color(gray).astype(np.float32)
    for index in np.unique(labels[labels > 0]):
        color = np.asarray(GRAY if index == IGNORED else COLORS[(int(index) - 1) % len(COLORS)], dtype=np.float32)
        mask = labels == index
        picture[mask] = (1 - OPACITY) * picture[mask] + OPACITY * color
    return picture.round().astype(np.uint8)


def _row(case: ViewedCase) -> list[Any]:
    z = best_slice(next(iter(case.of_classes().values())))
    shown = displayed(case, case.image[:, :, z])
    pictures = [_in_color(shown), *(overlay(shown, labels[..., z]) for labels in case.labels.values())]
    return [_panel(radiological(picture), case.spacing) for picture in pictures]


def _in_color(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(gray[..., None], 3, axis=2) if gray.ndim == 2 else gray


def displayed(case: ViewedCase, part: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a part of a case's image as levels from 0 to 255: as stored for a picture of 8 bits, else windowed."""
    return part if case.picture and part.dtype == np.uint8 else gray_slice(part, case.image)


def gray_slice(slice_: NDArray[Any], volume: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a slice as gray levels, in a window of 0.5 to 99.5 % of the volume's nonzero values."""
    inside = volume[volume != 0]
    low, high = np.percentile(inside, (0.5, 99.5)) if inside.size else (0.0, 1.0)
    low = min(low, 0.0) if slice_.min() == 0 else low  # keep a background of 0 black
    return (255 * np.clip((slice_ - low) / max(high - low, 1e-12), 0, 1)).round().astype(np.uint8)


def radiological(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a slice (X, Y, …) with axes R, A as rows and columns of a picture, the patient's left on the right."""
    # (right, anterior, …) to rows from anterior and columns from the patient's right: the left is on the right side.
    return np.flip(np.swapaxes(picture, 0, 1), axis=(0, 1))


def _panel(picture: NDArray[np.uint8], spacing: tuple[float, float, float]) -> Any:
    from PIL import Image

    height, width = picture.shape[0] * spacing[1], picture.shape[1] * spacing[0]
    scale = PANEL / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    image = Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.NEAREST)
    panel = Image.new("RGB", (PANEL, PANEL), (0, 0, 0))
    panel.paste(image, ((PANEL - size[0]) // 2, (PANEL - size[1]) // 2))
    return panel


def _legend(draw: Any, font: Any, classes: Sequence[str], has_ignored: bool, top: int) -> None:
    left = MARGIN
    entries = [(" ".join(name.split()), COLORS[i % len(COLORS)]) for i, name in enumerate(classes[1:])]  # on one line
    for name, color in [*entries, *([("ignored", GRAY)] if has_ignored else [])]:
        draw.rectangle((left, top + 4, left + 12, top + 16), color)
        draw.text((left + 18, top), name, TEXT, font)
        left += 18 + round(draw.textlength(name, font)) + 16


def _font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(15)
