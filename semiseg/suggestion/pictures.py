"""Pictures of a case's slices: the image, its uncertainty in color, and the contours of the proposal."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.io.orientation import to_ras
from semiseg.render.document import Picture, ViewedCase
from semiseg.render.preview import COLORS, best_slice, displayed, radiological
from semiseg.suggestion.measuring import STEPS, Predicted
from semiseg.suggestion.slices import NAMES, Slices
from semiseg.types import Case, DatasetInfo

SIDE = 320
"""Longer side of a picture in pixels."""
_COLD, _HOT = np.array([255.0, 0.0, 140.0]), np.array([255.0, 160.0, 220.0])
"""Colors of uncertainty near 0 and at 1; no class has them."""
_OPACITY = 0.65


def pictures_of(
    case: Case, found: Predicted, info: DatasetInfo, slices: Slices | None, axis: int, most: int
) -> tuple[Picture, ...]:
    """Return pictures of the chosen slices, or of the most uncertain ones if all are to be drawn; of one at least."""
    volume = found.image
    array, grid = to_ras(volume.array, volume.geometry)
    labels, uncertainty = (to_ras(one, volume.geometry)[0] for one in (found.labels, found.uncertainty))
    flat = grid.unit == "pixel"
    in_color = flat and len(array) == 3 and len(case.images) == 1 and array.dtype == np.uint8
    shown = np.moveaxis(array, 0, -1) if in_color else array[-1]
    view = ViewedCase(case.id, "", shown, {}, grid.spacing, picture=flat)
    found_slices = slices.chosen if slices else _without_choice(labels, uncertainty, axis, most)
    names = slices.names() if slices else [str(index) for index in found_slices]
    pictures = []
    for index, name in zip(found_slices, names, strict=True):
        place: list[Any] = [slice(None)] * 3
        place[axis] = index
        at = tuple(place)
        sides = tuple(size for other, size in enumerate(grid.spacing) if other != axis)
        gray = displayed(view, shown[at])
        png = draw(gray, uncertainty[at], labels[at], (sides[0], sides[1]))
        drawn = [info.classes[i] for i in np.unique(labels[at]) if i]
        share = float((uncertainty[at] > STEPS // 2).mean())
        title = case.id if flat else f"{NAMES[axis]} slice {name}"
        note = f"proposed: {', '.join(drawn) or 'nothing'}; {share:.1%} of it with uncertainty above 0.5"
        pictures.append(Picture(png, f"{case.id}, {title}: {note}", title, note))
    return tuple(pictures)


def _without_choice(labels: NDArray[np.uint8], uncertainty: NDArray[np.int16], axis: int, most: int) -> tuple[int, ...]:
    sums = uncertainty.sum(axis=tuple(other for other in range(3) if other != axis), dtype=np.float64)
    order = [int(index) for index in np.argsort(-sums, kind="stable") if sums[index] > 0]
    return tuple(order[:most]) or (best_slice(np.moveaxis(labels, axis, 2)),)


def draw(
    gray: NDArray[np.uint8], uncertainty: NDArray[np.int16], labels: NDArray[np.uint8], spacing: tuple[float, float]
) -> bytes:
    """Return a PNG of a slice: uncertainty from transparent to pink, class contours in their colors.

    Args:
        gray: (a, b), or (a, b, 3) in color, along two axes of R, A, S.
        uncertainty: (a, b) in STEPS.
        labels: class indices (a, b).
        spacing: the size of a voxel along both axes.
    """
    from PIL import Image

    rows, columns = gray.shape[1] * spacing[1], gray.shape[0] * spacing[0]
    scale = SIDE / max(rows, columns)
    size = max(round(columns * scale), 1), max(round(rows * scale), 1)

    def enlarged(array: NDArray[Any], smooth: bool) -> NDArray[Any]:
        method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
        return np.asarray(Image.fromarray(np.ascontiguousarray(radiological(array))).resize(size, method))

    base = enlarged(gray, smooth=True).astype(np.float32)
    base = np.repeat(base[..., None], 3, axis=2) if base.ndim == 2 else base
    heat = enlarged((uncertainty / STEPS).astype(np.float32), smooth=True)[..., None]
    picture = (1 - _OPACITY * heat) * base + _OPACITY * heat * (_COLD + heat * (_HOT - _COLD))
    classes = enlarged(labels, smooth=False)
    for index in np.unique(classes[classes > 0]):
        picture[contour(classes == index)] = COLORS[(int(index) - 1) % len(COLORS)]
    file = io.BytesIO()
    Image.fromarray(picture.round().clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def contour(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of a mask (rows, columns) that touch one outside it, or the border of the picture."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner
