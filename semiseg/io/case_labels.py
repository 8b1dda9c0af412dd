"""The label of a case, on the grid of its image."""

from collections.abc import Callable, Mapping
from pathlib import Path

from semiseg.errors import DataError, Problem
from semiseg.io.formats.segments import on_grid
from semiseg.io.names import is_slicer
from semiseg.io.volumes import read_label_file
from semiseg.types import DatasetInfo, Geometry, Volume


def read_case_label(
    case_id: str, label: Path, image: Path | None, read_grid: Callable[[], Geometry], info: DatasetInfo
) -> Volume:
    """Read a label file as class indices (X, Y, Z) or IGNORED; one of 3D Slicer may cover a part of the grid.

    Args:
        case_id: the case, for messages.
        label: the file.
        image: the case's image, for messages; None if it has no file.
        read_grid: reads the image's grid, after the label: a problem of the label is found although the image has one.
        info: classes and label values.

    Raises DataError as ``read_label_file``, and for a label on another grid.
    """
    found = read_label_file(label, info.label_map, info.ignore, named_values(info))
    grid = read_grid()
    if is_slicer(label):
        found = on_grid(label, found, grid)
    difference = grid.difference(found.geometry)
    if difference:
        what = f"{image or 'its image'} and its label {label} are on different grids: {difference}"
        raise DataError(Problem(f"case {case_id}", what, _grid_fix(difference)))
    return found


def named_values(info: DatasetInfo) -> Mapping[str, int]:
    """Return the stored values by name, for labels with named segments."""
    values = dict(zip(info.classes, info.class_values, strict=True))
    return values if info.ignore is None else {**values, "ignore": info.ignore}


def _grid_fix(difference: str) -> str:
    if difference.startswith("shape"):
        return "Draw the label on this image, or resample it to the image's grid (nearest neighbor)."
    return "If the label was drawn on this image, copy the image's header to it. Otherwise resample it."
