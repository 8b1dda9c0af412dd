"""The meaning of values stored in label files: from stored values to class indices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import ArgumentError, DataError, Problem, raise_all
from semiseg.io.whole import whole_numbers
from semiseg.types import IGNORED, MOST_CLASSES

Labels = Mapping[int, str] | Mapping[int | str, str]
"""Stored value → name; also OTHER → BACKGROUND, which makes unnamed values background, and value → IGNORE."""

BACKGROUND, OTHER, IGNORE = "background", "other", "ignore"
_TABLE = 65536
"""Values from which on a search is used instead of a lookup table, which would be too large."""


@dataclass(frozen=True, slots=True)
class LabelMap:
    """Class names by index, background first, and the index of each stored value (0 is the background), or IGNORED.

    ``rest``: whether unlisted values are background too. ``names``: a stored value of each name.
    """

    classes: tuple[str, ...]
    indices: Mapping[int, int]
    rest: bool = False
    names: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, labels: Labels) -> "LabelMap":
        """Create a map from stored value → name; values of one name form one class, background and ignore are none.

        Raises ArgumentError for invalid names, DataError for invalid values alone.
        """
        named = {value: name for value, name in labels.items() if not isinstance(value, str)}
        others = {value: name for value, name in labels.items() if isinstance(value, str)}
        names = tuple(dict.fromkeys(n for n in named.values() if not _is_background(n) and not _is_ignored(n)))
        wrong = [*_wrong_names(named, others), *([] if names else [_NO_CLASS])]
        problems = [*wrong, *_wrong_values(named, names)]
        raise_all(problems, ArgumentError if wrong else DataError)  # values may be from files

        def index_of(name: str) -> int:
            if _is_ignored(name):
                return IGNORED
            return 0 if _is_background(name) else names.index(name) + 1

        indices = {0: 0} | {value: index_of(name) for value, name in named.items()}
        values = {BACKGROUND: 0} | {name: value for value, name in named.items()}
        return cls((BACKGROUND, *names), indices, OTHER in others, values)

    @property
    def has_ignored(self) -> bool:
        """Whether a value is ignored."""
        return IGNORED in self.indices.values()

    def to_indices(self, array: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert stored values to class indices or IGNORED (uint8).

        Raises DataError, with the values, if one has no class.
        """
        array = as_integers(array)
        found = stored_values(array)
        unknown = sorted(found - set(self.indices))
        if unknown and self.rest:
            array = np.where(np.isin(array, unknown), 0, array)
            found -= set(unknown)
        elif unknown:
            names = {**dict(enumerate(self.classes)), IGNORED: IGNORE}
            known = ", ".join(f"{value}={names[index]}" for value, index in self.indices.items())
            raise DataError(
                f"label {_listed(unknown)} has no class; known: {known}",
                "Name every value with --labels. Values with the same name are one class (3=enhancing,4=enhancing);"
                f" {unknown[0]}={IGNORE} leaves the voxels with that value out of all scores, and {OTHER}={BACKGROUND}"
                " makes all other values background.",
            )
        values = sorted(found)
        indices = np.array([self.indices[value] for value in values], dtype=np.uint8)
        if values and (values[0] < 0 or values[-1] >= _TABLE):
            looked_up: NDArray[np.uint8] = indices[np.searchsorted(np.array(values, dtype=array.dtype), array)]
            return looked_up
        table = np.zeros(max(values, default=0) + 1, dtype=np.uint8)
        table[values] = indices
        taken: NDArray[np.uint8] = table[array]  # many times faster than the search
        return taken


def _is_background(name: str) -> bool:
    return name.casefold() == BACKGROUND


def _is_ignored(name: str) -> bool:
    return name.casefold() == IGNORE


_NO_CLASS = Problem("labels", "no classes are named", "Example: 1=necrosis,2=edema,3=enhancing.")


def _wrong_names(named: Mapping[int, str], others: Mapping[str, str]) -> list[Problem]:
    """Return the problems that do not depend on the files."""
    problems = []
    if not _is_background(named.get(0, BACKGROUND)):
        problems.append(Problem("labels", "0 is the background, which is not scored", "Leave it out."))
    for value, name in [*named.items(), *others.items()]:
        if isinstance(value, str) and not (value == OTHER and _is_background(name)):
            what, fix = (
                f"{value}={name}: {value!r} is not a stored value",
                f"Values must be numbers, or {OTHER}={BACKGROUND}.",
            )
            problems.append(Problem("labels", what, fix))
    return problems


def _wrong_values(named: Mapping[int, str], names: Sequence[str]) -> list[Problem]:
    problems = [
        Problem("labels", f"{value} is negative; labels are 0 or more")
        for value, name in named.items()
        if value < 0 and not _is_ignored(name)
    ]
    if len(names) > MOST_CLASSES:
        problems.append(Problem("labels", f"{len(names)} classes; at most {MOST_CLASSES} are supported"))
    return problems


def parse_labels(text: str) -> dict[int | str, str]:
    """Parse stored value → name from ``1=necrosis,2=edema,3=enhancing,255=ignore,other=background``.

    Raises ArgumentError with all problems.
    """
    labels: dict[int | str, str] = {}
    problems = []
    for part in text.split(","):
        value, equals, name = (piece.strip() for piece in part.partition("="))
        is_number = (value.removeprefix("-") if _is_ignored(name) else value).isdecimal()
        key: int | str = int(value) if is_number else value
        if not (equals and name and (isinstance(key, int) or key == OTHER)):
            problems.append(Problem("labels", f"{part.strip()!r} is not VALUE=NAME", "Example: 1=necrosis,2=edema."))
        elif key in labels:
            problems.append(Problem("labels", f"{value} is named twice: {labels[key]} and {name}"))
        else:
            labels[key] = name
    raise_all(problems, ArgumentError)
    return labels


def as_integers(array: NDArray[Any]) -> NDArray[Any]:
    """Convert numbers to integers. Raises DataError if some are fractions or not finite.

    A float within a few rounding errors of a whole number counts as that number (``whole_numbers``).
    """
    if array.dtype.kind in "iu":
        return array
    array = whole_numbers(array)
    with np.errstate(invalid="ignore"):  # non-finite values fail the comparison below
        whole = array.astype(np.int64)
    wrong = int(np.count_nonzero(whole != array))
    if wrong:
        raise DataError(
            f"{wrong:,} voxels are not whole numbers, so these are not labels",
            "Give the segmentation, not probabilities. Resample labels with nearest neighbor, or round them.",
        )
    return whole


def stored_values(array: NDArray[Any]) -> set[int]:
    """Return the distinct values of an integer array."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    if low >= 0 and high < 65536:  # counting is many times faster than sorting
        return set(np.flatnonzero(np.bincount(array.ravel(order="K").astype(np.intp, copy=False))).tolist())
    return set(np.unique(array).tolist())


def _listed(values: list[int], limit: int = 10) -> str:
    text = ", ".join(map(str, values[:limit]))
    return text if len(values) <= limit else f"{text} and {len(values) - limit} more"
