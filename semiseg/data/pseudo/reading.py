"""Pseudo-labels of another model, read from files and checked against the grid of their image."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.data.pseudo.files import PseudoFile
from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.formats.segments import on_grid
from semiseg.io.labels import read_label_header
from semiseg.io.names import is_picture, is_slicer
from semiseg.io.volumes import read_image_files, read_image_header, read_label_file
from semiseg.preprocessing.preparation import Preparation
from semiseg.types import IGNORED, DatasetInfo, Geometry

_ROUNDING = 1e-4
"""How far a confidence may be outside of 0 to 1: probabilities stored as scaled integers end there."""


def read_pseudo(
    file: PseudoFile, info: DatasetInfo, grid: Geometry
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Return a label map (X, Y, Z) as class indices or IGNORED, and its confidence (X, Y, Z) in [0, 1], if used.

    Stored values mean what they mean in the dataset's own labels. Raises DataError with all problems of both files:
    unreadable, other grid than the image's, unknown values, a confidence outside of [0, 1].
    """
    problems: list[Problem] = []
    label: NDArray[np.uint8] | None = None
    confidence: NDArray[np.float32] | None = None
    try:
        label = _read_label(file.label, info, grid)
    except DataError as error:
        problems += error.problems
    if file.confidence is not None:
        try:
            confidence = _read_confidence(file.confidence, grid)
        except DataError as error:
            problems += error.problems
    raise_all(problems, DataError)
    assert label is not None
    return label, confidence


def check_headers(file: PseudoFile, grid: Geometry) -> None:
    """Check from headers alone that both files are on the image's grid. Raises DataError with all problems."""
    problems: list[Problem] = []
    for path, rule in ((file.label, _NEAREST), (file.confidence, _LINEAR)):
        if path is None:
            continue
        try:
            header = read_label_header(path) if path == file.label else read_image_header(path)
        except DataError as error:
            problems += error.problems
            continue
        if header is None:
            continue
        geometry, shape = header
        if shape[3:]:
            fix = "Store one value per voxel: the predicted class, or its probability."
            problems.append(Problem(str(path), f"its shape is {shape}, not (X, Y, Z)", fix))
        else:
            problems += _grid_problems(path, geometry, grid, rule)
    raise_all(problems, DataError)


def prepared_pseudo(
    label: NDArray[np.uint8],
    confidence: NDArray[np.float32] | None,
    threshold: float | None,
    preparation: Preparation,
    has_ignored: bool,
) -> NDArray[np.uint8]:
    """Return a label map on the grid of the preprocessed image, with IGNORED where the confidence is below a threshold.

    The label is cut and resampled as the dataset's own labels are, and the confidence linearly, before it is compared.
    """
    cut, _ = preparation.cut_label(label, has_ignored)
    if confidence is None or threshold is None:
        return cut
    cut[preparation.cut_values(confidence) < threshold] = IGNORED
    return cut


def _read_label(path: Path, info: DatasetInfo, grid: Geometry) -> NDArray[np.uint8]:
    values = dict(zip(info.classes, info.class_values, strict=True))
    if info.ignore is not None:
        values["ignore"] = info.ignore
    label = read_label_file(path, info.label_map, info.ignore, values)
    if is_slicer(path):
        label = on_grid(path, label, grid)
    raise_all(_grid_problems(path, label.geometry, grid, _NEAREST), DataError)
    array: NDArray[np.uint8] = label.array
    return array


def _read_confidence(path: Path, grid: Geometry) -> NDArray[np.float32]:
    volume = read_image_files([path], ["confidence"])
    values = _as_share(path, volume.array[0])
    problems = _grid_problems(path, volume.geometry, grid, _LINEAR)
    outside = int(np.count_nonzero((values < -_ROUNDING) | (values > 1 + _ROUNDING)))
    if outside:
        what = f"{outside:,} voxels have a confidence outside of 0 to 1 ({values.min():g} to {values.max():g})"
        problems.append(Problem(str(path), what, "Store the probability of the predicted class: 1 is sure."))
    raise_all(problems, DataError)
    np.clip(values, 0, 1, out=values)
    return values


def _as_share(path: Path, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return values as float32; levels of a gray picture of 8 or 16 bits as a fraction of the highest one."""
    share = values.astype(np.float32)
    if is_picture(path) and values.dtype.kind == "u":
        share /= np.float32(np.iinfo(values.dtype).max)
    return share


def _grid_problems(path: Path, own: Geometry, grid: Geometry, rule: str) -> list[Problem]:
    difference = grid.difference(own)
    if not difference:
        return []
    what = f"it is on another grid than the case's image: {difference}"
    fix = f"Predict the image of this dataset, resample the file to it ({rule}), or correct a wrong header."
    return [Problem(str(path), what, fix)]


_NEAREST, _LINEAR = "nearest neighbor", "linearly"
