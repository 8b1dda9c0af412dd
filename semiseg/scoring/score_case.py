"""The scores of one case, computed alike for every method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import ArgumentError, ComponentError, DataError, Problem, SemisegError, raise_all
from semiseg.interfaces.metric import MaskPair, Metric, Status
from semiseg.scoring.ignored import Ignored, without_ignored
from semiseg.scoring.masks.label_pair import Kind, LabelPair, Target
from semiseg.types import Geometry, Unit


@dataclass(frozen=True, slots=True)
class Score:
    """The value of one metric for one class or region of one case: a row of scores.csv.

    Attributes:
        run: the run that predicted; empty for predictions from elsewhere.
        checkpoint: last, best, or empty.
        case: the case's id.
        class_name: the class or region ("class" in the file).
        metric: the metric's name.
        value: the raw value; for empty masks infinite or nan, as the metric declares.
        unit: "1" for a number without unit; "mm", "voxel" or "pixel" for a length.
        status: whether reference and prediction have voxels of the class.
        n_reference: the class's voxels in the reference.
        n_prediction: the class's voxels in the prediction.
        image_diagonal: length of the image's diagonal in the image's unit, by default the value of a miss.
        kind: a class, or a region made of several.
        definition: meaning of the value (``Metric.definition``); empty if a table lacks it.
        reference_digest: digest of the reference's mask and grid, and of its ignored voxels if there are any, which
            identifies the reference; empty likewise.
        n_ignored: the case's voxels that are left out because the reference marks them as ignored.
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
    kind: Kind = "class"
    definition: str = ""
    reference_digest: str = ""
    n_ignored: int = 0

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
    regions: Mapping[str, Sequence[str]] | None = None,
    has_ignored: bool = False,
) -> list[Score]:
    """Return the scores of one case: one per foreground class and metric, classes in order, then the regions.

    ``reference`` and ``prediction`` (X, Y, Z) hold class indices of any integer type, on the grid ``geometry``;
    ``classes`` are names by index, background first; ``regions`` map names of regions to names of their classes. With
    ``has_ignored``, voxels that are IGNORED in the reference are left out: they are background in both. Raises
    DataError, naming the case, if an array has a different shape, is not of integers, or holds an index that is no
    class, and ArgumentError if a region names an unknown class.
    """
    ignored = Ignored()
    if has_ignored:
        reference, prediction, ignored = without_ignored(reference, prediction, case)
    _require_labels({"reference": reference, "prediction": prediction}, geometry, len(classes), case)
    targets = [Target(name, "class", (index,)) for index, name in enumerate(classes) if index]
    targets += find_regions(regions or {}, classes)
    labels = LabelPair(
        reference.astype(np.uint8, copy=False), prediction.astype(np.uint8, copy=False), geometry, len(classes)
    )
    names = {"run": run, "checkpoint": checkpoint, "case": case}
    return [score for target in targets for score in _score_target(labels, target, metrics, names, ignored)]


def _score_target(
    labels: LabelPair, target: Target, metrics: Mapping[str, Metric], names: Mapping[str, str], ignored: Ignored
) -> list[Score]:
    pair, digest = labels.masks(target), ignored.added_to(labels.reference_digest(target))
    return [
        Score(
            **names,
            class_name=target.name,
            metric=name,
            value=_value(name, metric, pair, f"case {names['case']}, {target.kind} {target.name}"),
            unit=pair.unit if metric.distance else "1",
            status=pair.status,
            n_reference=pair.n_reference,
            n_prediction=pair.n_prediction,
            image_diagonal=pair.image_diagonal,
            kind=target.kind,
            definition=metric.definition,
            reference_digest=digest,
            n_ignored=ignored.count,
        )
        for name, metric in metrics.items()
    ]


def _value(name: str, metric: Metric, pair: MaskPair, where: str) -> float:
    """Return one value. Raises ComponentError, naming metric, case and class, if the metric fails."""
    try:
        return float(metric(pair))
    except SemisegError:
        raise
    except Exception as error:
        voxels = f"{pair.n_reference} voxels in the reference, {pair.n_prediction} in the prediction"
        what = f"metric {name} failed ({voxels}): {type(error).__name__}: {error}"
        raise ComponentError(Problem(where, what, "Fix the metric, or score without it.")) from error


def find_regions(regions: Mapping[str, Sequence[str]], classes: Sequence[str]) -> list[Target]:
    """Return the regions with the indices of their classes. Raises ArgumentError with all problems of the regions."""
    problems, found = [], []
    for name, members in regions.items():
        unknown = [member for member in members if member not in classes[1:]]
        if not members:
            problems.append(Problem(f"region {name}", "has no classes"))
        if unknown:
            known = ", ".join(classes[1:])
            problems.append(Problem(f"region {name}", f"there is no class {', '.join(unknown)}", f"Known: {known}."))
        if name in classes:
            problems.append(Problem(f"region {name}", "has the name of a class", "Give it another name."))
        found.append(Target(name, "region", tuple(classes.index(member) for member in members if member in classes)))
    raise_all(problems, ArgumentError)
    return found


def _require_labels(arrays: Mapping[str, NDArray[Any]], geometry: Geometry, n_classes: int, case: str) -> None:
    problems = []
    for role, array in arrays.items():
        if array.shape != geometry.shape:
            problems.append(Problem(f"case {case}, {role}", f"shape {array.shape}, but the grid is {geometry.shape}"))
        elif array.dtype.kind not in "iu":
            problems.append(Problem(f"case {case}, {role}", f"class indices have to be integers, not {array.dtype}"))
        elif array.size and not 0 <= int(array.min()) <= int(array.max()) < n_classes:
            found = f"class indices from {array.min()} to {array.max()}"
            problems.append(
                Problem(f"case {case}, {role}", f"{found}, but there are {n_classes} classes, starting at 0")
            )
    raise_all(problems, DataError)
