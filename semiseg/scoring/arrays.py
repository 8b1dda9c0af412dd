"""Scores of a label map against its reference, both arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import ArgumentError, Problem, raise_all
from semiseg.scoring.labels import LabelMap, Labels, as_integers, stored_values
from semiseg.scoring.metric_choice import Metrics, choose_metrics
from semiseg.scoring.presets import find_preset
from semiseg.scoring.score_case import score_case
from semiseg.scoring.scores import Scores
from semiseg.types import Geometry


def score(
    prediction: Any,
    reference: Any,
    *,
    spacing: Sequence[float] | None = None,
    classes: Sequence[str] | Labels | None = None,
    regions: Mapping[str, Sequence[str]] | None = None,
    metrics: Metrics | None = None,
    preset: str | None = None,
    case: str = "",
) -> Scores:
    """Score a predicted label map against its reference, both arrays (X, Y, Z), or (rows, columns), of whole numbers.

    ``score(a, b, spacing=(1, 1, 1)).values("dice")`` has the Dice of each class.

    Args:
        prediction: label values; an array of numpy, or a tensor on the CPU.
        reference: likewise, of the same shape.
        spacing: size of a voxel along each axis in mm; without it, distances are in voxels (or pixels).
        classes: the names of the values 1, 2, … in order; or the name of each value except 0, as the ``labels`` of
            ``semiseg.evaluate``, which may also name values that are ignored. Without it, every value of the reference
            is a class, named by its number.
        regions: unions of classes to score in addition, by name.
        metrics: as for ``semiseg.evaluate``; Dice and HD95 by default.
        preset: another tool's conventions, as for ``semiseg.evaluate``.
        case: a name for the rows.

    Raises:
        ArgumentError: arrays of different shapes or with another number of axes, an unusable spacing, an unknown
            metric, preset or class of a region.
        DataError: values without a class, or that are not whole numbers.
    """
    tool = None if preset is None else find_preset(preset)
    if tool is not None:
        classes, regions = classes or tool.labels, regions or tool.regions
    chosen = choose_metrics(metrics, tool)
    truth, predicted = np.asarray(reference), np.asarray(prediction)
    _require_fitting(truth, predicted, spacing)
    grid = _grid(truth.shape, spacing)
    known = LabelMap.of(_labels(classes, truth))
    found = score_case(
        known.to_indices(truth).reshape(grid.shape),
        known.to_indices(predicted).reshape(grid.shape),
        grid,
        known.classes,
        chosen,
        case=case,
        regions=regions,
        has_ignored=known.has_ignored,
    )
    return Scores(found)


def _labels(classes: Sequence[str] | Labels | None, reference: NDArray[Any]) -> Labels:
    if isinstance(classes, Mapping):
        return classes
    if classes is not None:
        return dict(enumerate(classes, 1))
    values = sorted(stored_values(as_integers(reference)) - {0})
    if not values:
        raise ArgumentError("The reference contains only background: there is no class to score.", "Name the classes.")
    return {value: str(value) for value in values}


def _require_fitting(reference: NDArray[Any], prediction: NDArray[Any], spacing: Sequence[float] | None) -> None:
    problems = []
    if reference.shape != prediction.shape:
        what = f"its shape is {prediction.shape}, and the reference's is {reference.shape}"
        problems.append(Problem("prediction", what, "Predict on the grid of the reference."))
    for name, array in (("reference", reference), ("prediction", prediction)):
        if array.ndim not in {2, 3} or not array.size:
            what = f"its shape is {array.shape}"
            problems.append(Problem(name, what, "Give label values (X, Y, Z), or (rows, columns) of a picture."))
    if spacing is not None:
        sizes = np.asarray(spacing, np.float64)
        if sizes.shape != (reference.ndim,) or not (np.isfinite(sizes) & (sizes > 0)).all():
            what = f"{spacing!r} are not {reference.ndim} sizes above 0"
            problems.append(Problem("spacing", what, "Give one for each axis, in mm."))
    raise_all(problems, ArgumentError)


def _grid(shape: tuple[int, ...], spacing: Sequence[float] | None) -> Geometry:
    volume = (*shape, *[1] * (3 - len(shape)))
    if spacing is None:
        return Geometry(volume, np.eye(4), "voxel" if len(shape) == 3 else "pixel")
    sizes = (*spacing, *[1.0] * (3 - len(shape)))
    return Geometry(volume, np.diag([*sizes, 1.0]), "mm")
