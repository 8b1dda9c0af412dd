"""Label values: those that a client numbers itself become those of the dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem

NIFTI = (".nii.gz", ".nii")
SEGMENTATION = ".seg.nrrd"


def names_in(array: NDArray[Any], values: Mapping[str, int]) -> dict[str, int]:
    """Return the label values in an array by name, in ascending order: 3D Slicer names its segments in this order."""
    there = {*np.unique(array).tolist()}
    return {name: value for name, value in sorted(values.items(), key=lambda item: item[1]) if value in there}


def names_in_file(path: Path, values: Mapping[str, int]) -> dict[str, int]:
    """Return the label values in a NIfTI file by name, as ``names_in``."""
    return names_in(np.asanyarray(nib.load(path).dataobj), values)


def with_dataset_values(
    source: Path, target: Path, segments: Sequence[Mapping[str, Any]], values: Mapping[str, int], case: str
) -> list[dict[str, Any]]:
    """Write a NIfTI label with the dataset's values; return its segments with these.

    3D Slicer numbers the segments of a label from 1 in their order, whatever the values of the dataset, and sends their
    names along.

    Args:
        source: the label, with the numbers of ``segments``.
        target: the new file.
        segments: of each segment, ``name`` and number ``idx``.
        values: the dataset's values by name.
        case: the case, for messages.

    Raises DataError with every segment that is no class, and for numbers that no segment has.
    """
    where = f"case {case}"
    given = [str(one.get("name")) for one in segments]
    names = ", ".join(values)
    problems = [
        Problem(where, f"the segment {name!r} is no class of the model", f"Name it as one of {names}, or delete it.")
        for name in given
        if name not in values
    ]
    if [one.get("idx") for one in segments] != list(range(1, len(segments) + 1)):
        fix = "Delete segments of scribbles and background, then save again."
        problems.append(Problem(where, "the segments are not numbered from 1 in their order", fix))
    if problems:
        raise DataError(problems)
    image = nib.load(source)
    array = np.asanyarray(image.dataobj)
    unknown = sorted({*np.unique(array).tolist()} - {*range(len(segments) + 1)})
    if unknown:
        what = f"the label has values without a segment: {', '.join(map(str, unknown))}"
        raise DataError(Problem(where, what, "Save it again."))
    table = np.array([0, *(values[name] for name in given)], np.uint8)
    written = nib.Nifti1Image(table[array.astype(np.int64)], image.affine, image.header)
    written.set_data_dtype(np.uint8)
    nib.save(written, target)
    return [{**one, "idx": values[name]} for one, name in zip(segments, given, strict=True)]
