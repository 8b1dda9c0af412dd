"""One harness for every method: the scores of one case."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from semiseg.errors import DataError, Problem, raise_all
from semiseg.interfaces.metric import MaskPair, Metric, Status
from semiseg.types import Geometry, Unit

Box = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """The value of one metric for one class of one case: a row of scores.csv.

    Attributes:
        run: the run that predicted; empty where the prediction came from elsewhere.
        checkpoint: last, best, or empty.
        case: the case's id.
        class_name: the class ("class" in the file).
        metric: the metric's name.
        value: the raw value: infinite or nan as the metric declares it where a mask is empty.
        unit: "1" for a number without unit; "mm" or "voxel" for a length.
        status: whether reference and prediction have voxels of the class.
        n_reference: the class's voxels in the reference.
        n_prediction: the class's voxels in the prediction.
        image_diagonal: length of the image's diagonal in mm or voxels, which a miss counts by default.
    """

    run: str
    checkpoint: str
    case: str
    class_name: str
    metric: str
    value: float
    unit: str
    status: Status
    n_reference: int
    n_prediction: int
    image_diagonal: float

    @property
    def is_distance(self) -> bool:
        """Whether the value is a length."""
        return self.unit in get_args(Unit)


def score_case(
    reference: NDArray[Any],
    prediction: NDArray[Any],
    geometry: Geometry,
    classes: Sequence[str],
    metrics: Mapping[str, Metric],
    *,
    case: str,
    run: str = "",
    checkpoint: str = "",
) -> list[Score]:
    """The scores of one case: one for each foreground class and metric, classes in order.

    ``reference`` and ``prediction`` (X, Y, Z) hold class indices in any integer type, of the grid ``geometry``;
    ``classes`` are names by index, background first. Raises DataError, naming the case, where an array has another
    shape, is not of integers, or holds an index that is no class.
    """
    _require_labels({"reference": reference, "prediction": prediction}, geometry, len(classes), case)
    scores = []
    for name, pair in zip(classes[1:], _pairs(reference, prediction, geometry, len(classes)), strict=True):
        for key, metric in metrics.items():
            unit = pair.unit if metric.distance else "1"
            counts = pair.n_reference, pair.n_prediction
            value = float(metric(pair))
            scores.append(
                Score(run, checkpoint, case, name, key, value, unit, pair.status, *counts, pair.image_diagonal)
            )
    return scores


def _require_labels(arrays: Mapping[str, NDArray[Any]], geometry: Geometry, n_classes: int, case: str) -> None:
    problems = []
    for role, array in arrays.items():
        if array.shape != geometry.shape:
            problems.append(Problem(f"case {case}, {role}", f"shape {array.shape}, but the grid is {geometry.shape}"))
        elif array.dtype.kind not in "iu":
            problems.append(Problem(f"case {case}, {role}", f"class indices have to be integers, not {array.dtype}"))
        elif array.size and not 0 <= int(array.min()) <= int(array.max()) < n_classes:
            found = f"class indices from {array.min()} to {array.max()}"
            problems.append(Problem(f"case {case}, {role}", f"{found}, but there are {n_classes} classes, 0 the first"))
    raise_all(problems, DataError)


def _pairs(reference: NDArray[Any], prediction: NDArray[Any], geometry: Geometry, n_classes: int) -> Iterator[MaskPair]:
    """The masks of each foreground class, cut to the box that holds both: metrics never see the whole image."""
    boxes = zip(*(find_objects(array, n_classes - 1) for array in (reference, prediction)), strict=True)
    for index, found in enumerate(boxes, start=1):
        box = _union([one for one in found if one is not None])
        # NIfTI arrays lie in memory the other way round (order F), in which finding voxels takes twice the time.
        masks = [np.equal(array[box], index, order="C") for array in (reference, prediction)]
        yield MaskPair(
            reference=masks[0],
            prediction=masks[1],
            spacing=geometry.spacing,
            unit=geometry.unit,
            image_shape=geometry.shape,
            n_reference=int(np.count_nonzero(masks[0])),
            n_prediction=int(np.count_nonzero(masks[1])),
        )


def _union(boxes: Sequence[Box]) -> Box:
    if not boxes:
        return (slice(0, 0),) * 3
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))
