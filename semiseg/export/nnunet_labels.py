"""Classes and regions as the labels of an nnU-Net dataset: consecutive values, and the lists of regions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.codings.region_table import class_table
from semiseg.errors import DataError, Problem, raise_all
from semiseg.types import IGNORED, DatasetInfo

_RESERVED = ("background", "ignore")


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a dataset in nnU-Net.

    Attributes:
        values: the value of each class, by class index.
        ignore: the value of ignored voxels; None if there are none.
        manifest: the entries of dataset.json on labels.
        notes: remarks, each a sentence without its period.
    """

    values: tuple[int, ...]
    ignore: int | None
    manifest: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())

    def of(self, classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the values of class indices (uint8, or IGNORED)."""
        table = np.zeros(256, np.uint8)
        table[: len(self.values)] = self.values
        table[IGNORED] = 0 if self.ignore is None else self.ignore
        return table[classes]

    def keeps(self, info: DatasetInfo) -> bool:
        """Return whether files with the dataset's stored values have these values already."""
        same = all(self.values[index] == value for value, index in info.label_map.items())
        return same and info.ignore == self.ignore


def nnunet_labels(info: DatasetInfo, regions: Mapping[str, Sequence[int]]) -> Labels:
    """Return the labels of a dataset whose networks output classes, or ``regions`` (class indices by name).

    nnU-Net requires the values 0, 1, 2 … and the highest one for ignored voxels. Of regions it writes the later ones
    over those before, so that larger ones come first. Raises DataError for names with another meaning in nnU-Net.

    Source: nnU-Net v2, nnunetv2/experiment_planning/verify_dataset_integrity.py and utilities/label_handling.
    """
    taken = [name for name in (*info.classes[1:], *regions) if name in _RESERVED]
    what, fix = "has another meaning in nnU-Net than a class", "Rename it, or have its voxels ignored (dataset.ignore)."
    raise_all([Problem(f"class {name}", what, fix) for name in taken], DataError)
    if not regions:
        values = tuple(range(len(info.classes)))
        return _with_ignore(values, {"background": 0, **dict(zip(info.classes[1:], values[1:], strict=True))}, info)
    ordered = dict(sorted(regions.items(), key=lambda region: -len(region[1])))
    held = sorted({index for members in ordered.values() for index in members})
    value_of = {index: number for number, index in enumerate(held, 1)}
    values = tuple(value_of.get(index, 0) for index in range(len(info.classes)))
    listed = {name: [value_of[index] for index in sorted(members)] for name, members in ordered.items()}
    order, notes = _order(listed, len(held))
    outside = [name for index, name in enumerate(info.classes) if index and index not in value_of]
    if outside:
        notes.append(f"no region contains {', '.join(outside)}, which becomes background")
    named = {str(value_of[index]): info.classes[index] for index in held}
    labels = _with_ignore(values, {"background": 0, **listed}, info)
    entries = {**labels.manifest, "regions_class_order": order, "class_names": named}
    return Labels(values, labels.ignore, entries, tuple(notes))


def _with_ignore(values: tuple[int, ...], labels: dict[str, Any], info: DatasetInfo) -> Labels:
    ignore = max(values) + 1 if info.has_ignored else None
    if ignore == IGNORED:
        raise DataError(f"{len(info.classes) - 1} classes and an ignored value do not fit into 8 bits.", "Name fewer.")
    return Labels(values, ignore, {"labels": labels if ignore is None else {**labels, "ignore": ignore}})


def _order(regions: Mapping[str, Sequence[int]], n_values: int) -> tuple[list[int], list[str]]:
    """Return the value that nnU-Net writes for each region, and notes on values that it can then never write."""
    members, notes = list(regions.values()), list[str]()
    table = class_table(members, n_values + 1)
    last = [max(place for place, region in enumerate(members) if value in region) for value in range(1, n_values + 1)]
    order = []
    for place, name in enumerate(regions):
        ends = [value for value, end in enumerate(last, 1) if end == place]
        order.append(ends[0] if ends else table[1 << place])
        if len(ends) > 1:
            notes.append(f"nnU-Net cannot tell {', '.join(map(str, ends))} apart, whose last region is {name}")
    if all(len(region) == 1 for region in members):
        notes.append("each region is one class, so that nnU-Net trains on classes")
    return order, notes
