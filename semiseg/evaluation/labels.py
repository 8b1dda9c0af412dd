"""What the values stored in label files mean: from stored values to class indices."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import ArgumentError, DataError, Problem, raise_all
from semiseg.io.whole import whole_numbers


@dataclass(frozen=True, slots=True)
class LabelMap:
    """Names of classes by index, background first, and the class index of each stored value (0 is the background)."""

    classes: tuple[str, ...]
    indices: Mapping[int, int]

    @classmethod
    def of(cls, labels: Mapping[int, str]) -> "LabelMap":
        """From stored value → name; values of one name are one class. Raises DataError where one cannot be."""
        problems = []
        if not labels:
            problems.append(Problem("labels", "no class is named", "Example: 1=necrosis,2=edema,3=enhancing."))
        if 0 in labels:
            problems.append(Problem("labels", "0 is the background, which is not scored", "Leave it out."))
        for value in labels:
            if value < 0:
                problems.append(Problem("labels", f"{value} is negative, which no label can be"))
        names = tuple(dict.fromkeys(labels.values()))
        if len(names) > 255:
            problems.append(Problem("labels", f"{len(names)} classes; at most 255 can be told apart"))
        raise_all(problems, ArgumentError if not labels or 0 in labels else DataError)  # else they may be from files
        indices = {0: 0} | {value: names.index(name) + 1 for value, name in labels.items()}
        return cls(("background", *names), indices)

    def to_indices(self, array: NDArray[Any]) -> NDArray[np.uint8]:
        """Class indices (uint8) of stored values. Raises DataError, with the values, where one has no class."""
        array = as_integers(array)
        found = stored_values(array)
        unknown = sorted(found - set(self.indices))
        if unknown:
            known = ", ".join(f"{value}={self.classes[index]}" for value, index in self.indices.items())
            raise DataError(
                f"label {_listed(unknown)} has no class; known: {known}",
                "Name every value by --labels; two values with one name are one class (3=enhancing,4=enhancing).",
            )
        table = np.zeros(max(found, default=0) + 1, dtype=np.uint8)
        for value in found:
            table[value] = self.indices[value]
        indices: NDArray[np.uint8] = table[array]
        return indices


def parse_labels(text: str) -> dict[int, str]:
    """Stored value → name from ``1=necrosis,2=edema,3=enhancing``. Raises ArgumentError with all that is wrong."""
    labels: dict[int, str] = {}
    problems = []
    for part in text.split(","):
        value, equals, name = (piece.strip() for piece in part.partition("="))
        if not (equals and name and value.isdecimal()):
            problems.append(Problem("labels", f"{part.strip()!r} is not VALUE=NAME", "Example: 1=necrosis,2=edema."))
        elif int(value) in labels:
            problems.append(Problem("labels", f"{value} is named twice: {labels[int(value)]} and {name}"))
        else:
            labels[int(value)] = name
    raise_all(problems, ArgumentError)
    return labels


def as_integers(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers as integers. Raises DataError where some are fractions or not finite.

    A float within a few roundings of a whole number is that number (``whole_numbers``).
    """
    if array.dtype.kind in "iu":
        return array
    array = whole_numbers(array)
    with np.errstate(invalid="ignore"):  # what is not finite does not survive the comparison
        whole = array.astype(np.int64)
    wrong = int(np.count_nonzero(whole != array))
    if wrong:
        raise DataError(
            f"{wrong:,} voxels hold no whole number, so they are no labels",
            "Give the segmentation, not probabilities; resample labels by the nearest neighbor, or round them.",
        )
    return whole


def stored_values(array: NDArray[Any]) -> set[int]:
    """The distinct values of an integer array."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low >= 0 and high < 65536:  # counting is many times faster than sorting
        return set(np.flatnonzero(np.bincount(array.ravel(order="K").astype(np.intp, copy=False))).tolist())
    return set(np.unique(array).tolist())


def _listed(values: list[int], limit: int = 10) -> str:
    text = ", ".join(map(str, values[:limit]))
    return text if len(values) <= limit else f"{text} and {len(values) - limit} more"
