"""Segmentations of 3D Slicer (.seg.nrrd): named segments in one or several layers, often on a part of the image's grid.

The format is described at
https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html#segmentations-file-format.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.formats.nrrd import read_nrrd_header
from semiseg.io.formats.stored import Stored
from semiseg.io.nifti import require_finite
from semiseg.io.whole import whole_numbers
from semiseg.messages import some
from semiseg.types import Geometry, Volume

_KEY = re.compile(r"Segment(\d+)_(Name|LabelValue|Layer)")


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment: its name, and the value of its voxels in a layer of the file."""

    name: str
    value: int
    layer: int


def read_segments(path: Path) -> tuple[Segment, ...]:
    """Return the segments in the header of a file, in order; none if it has no names. Raises DataError."""
    return _segments(read_nrrd_header(path))


def _segments(stored: Stored) -> tuple[Segment, ...]:
    found: dict[int, dict[str, str]] = {}
    for key, value in stored.fields.items():
        if match := _KEY.fullmatch(key):
            found.setdefault(int(match[1]), {})[match[2]] = value.strip()
    layers = stored.geometry()[1][3:] or (1,)
    if len(layers) > 1 or "fractional" in stored.fields.get(_REPRESENTATION, "").lower():
        what = "it is not a binary segmentation, with one value per voxel and layer"
        raise DataError(Problem(str(stored.path), what, "Save it in 3D Slicer as a binary labelmap."))
    # Before version 4.11, 3D Slicer wrote no values: each segment is 1 in a layer of its own.
    own = layers[0] > 1
    try:
        segments = tuple(
            Segment(
                entry.get("Name") or f"Segment_{number + 1}",
                int(entry.get("LabelValue", 1)),
                int(entry.get("Layer", place if own else 0)),
            )
            for place, (number, entry) in enumerate(sorted(found.items()))
        )
    except ValueError as error:
        raise DataError(Problem(str(stored.path), f"its segments are not understood: {error}", _SAVE)) from error
    if outside := [segment.name for segment in segments if not 0 <= segment.layer < layers[0]]:
        what = f"it has {layers[0]} layers, but segments in others: {some(outside)}"
        raise DataError(Problem(str(stored.path), what, _SAVE))
    return segments


_REPRESENTATION = "Segmentation_MasterRepresentation"
_SAVE = "Save it again with 3D Slicer."


def read_slicer_label(path: Path, values: Mapping[str, int] | None = None) -> tuple[NDArray[Any], Geometry]:
    """Read the label (X, Y, Z) of a file, int32, and its grid, which may be a part of the image's (``on_grid``).

    Args:
        path: the file.
        values: the label value of each name; names are compared regardless of case. By default, the values are those
            in the file, which 3D Slicer assigns by the order of segments.

    Raises DataError as ``read_nrrd_header``, and with all problems: a segment without a value, segments with different
    values that overlap or have the same value in the file, and voxels that belong to no segment.
    """
    stored = read_nrrd_header(path)
    segments = _segments(stored)
    array = whole_numbers(require_finite(path, stored.voxels()))
    geometry = stored.geometry()[0]
    if not segments:
        return array, geometry
    layers = array[..., None] if array.ndim == 3 else array
    masks = [layers[..., segment.layer] == segment.value for segment in segments]
    present = [(segment, mask) for segment, mask in zip(segments, masks, strict=True) if segment.value and mask.any()]
    problems = list(_strays(path, layers, segments))
    known = None if values is None else {_plain(name): value for name, value in values.items()}
    unknown = [] if known is None else [segment.name for segment, _ in present if _plain(segment.name) not in known]
    if unknown:
        problems.append(Problem(str(path), f"it has segments that are no class: {some(unknown)}", _classes(values)))
    raise_all(
        [*problems, *(_same_values(path, [segment for segment, _ in present]) if known is None else ())], DataError
    )
    label = np.zeros(geometry.shape, np.int32)
    drawn = dict[str, NDArray[np.bool_]]()
    for segment, mask in present:
        value = segment.value if known is None else known[_plain(segment.name)]
        if (overlap := int(np.count_nonzero(mask & (label != 0) & (label != value)))) and value:
            others = [name for name, other in drawn.items() if (other & mask).any()]
            what = f"{segment.name} and {some(others)} overlap in {overlap:,} voxels, which have one label each"
            problems.append(Problem(str(path), what, _OVERLAP))
        if value:
            label[mask] = value
            drawn[segment.name] = mask
    raise_all(problems, DataError)
    return label, geometry


_OVERLAP = (
    "In 3D Slicer: Segment Editor, Logical operators, Subtract the inner segment from the outer one (without it, the"
    " order is not known)."
)


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _classes(values: Mapping[str, int] | None) -> str:
    return f"Classes: {', '.join(values or ())}. Rename the segments in 3D Slicer, or add them to the classes."


def _strays(path: Path, layers: NDArray[Any], segments: Sequence[Segment]) -> Iterable[Problem]:
    for layer in range(layers.shape[-1]):
        held = {0, *(segment.value for segment in segments if segment.layer == layer)}
        found = sorted(set(np.unique(layers[..., layer]).tolist()) - held)
        if found:
            what = f"it has values that belong to no segment: {some([f'{value:g}' for value in found])}"
            yield Problem(str(path), what, _SAVE)


def _same_values(path: Path, segments: Sequence[Segment]) -> list[Problem]:
    names: dict[int, list[str]] = {}
    for segment in segments:
        names.setdefault(segment.value, []).append(segment.name)
    return [
        Problem(str(path), f"several segments have the value {value}: {some(held)}", "Name the value of each.")
        for value, held in names.items()
        if len(held) > 1
    ]


def on_grid(path: Path, label: Volume, grid: Geometry) -> Volume:
    """Return a label of a part of a grid on the whole grid, with 0 elsewhere; unchanged if it is no part of the grid.

    3D Slicer stores the part of the image that contains segments. Raises DataError if labeled voxels are outside.
    """
    if not label.geometry.difference(grid) or label.geometry.shape == grid.shape:
        return label
    start = np.rint(np.linalg.solve(grid.affine, label.geometry.affine[:, 3])[:3]).astype(int)
    affine = grid.affine.copy()
    affine[:3, 3] += grid.affine[:3, :3] @ start
    if label.geometry.difference(Geometry(label.geometry.shape, affine)):
        return label
    shape = np.array(label.array.shape)
    low, high = np.maximum(start, 0), np.minimum(start + shape, grid.shape)
    into = tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
    part = tuple(slice(a - s, max(a, b) - s) for a, b, s in zip(low, high, start, strict=True))
    placed = np.zeros(grid.shape, label.array.dtype)
    placed[into] = label.array[part]
    if outside := int(np.count_nonzero(label.array)) - int(np.count_nonzero(placed)):
        what = f"{outside:,} of its labeled voxels are outside of the image"
        raise DataError(Problem(str(path), what, "Give the image that it was drawn on."))
    return Volume(placed, grid)
