"""A folder with the DICOM files of one series, as a volume."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.formats.dicom_slices import CONVERT, Slice, open_slice, read_slice, series_files, unreadable
from semiseg.io.formats.stored import LPS_TO_RAS
from semiseg.io.header import affine_problem
from semiseg.io.memory import memory_for
from semiseg.io.nifti import require_finite
from semiseg.messages import counted, some
from semiseg.types import Geometry

_TOLERANCE = 0.1
"""Largest deviation of a slice from its place on the grid, in voxels, as in ``Geometry.difference``."""
_TURN = 1e-3
_ONE = (
    "Leave the files of one series in the folder. If the series are modalities, give each its own folder: CASE_0000,\n"
    "    CASE_0001, …"
)


def read_series_header(folder: Path) -> tuple[Geometry, tuple[int, ...]]:
    """Return the grid of a series and the shape of its array, from headers. Raises DataError as ``read_series``."""
    slices = _series(folder)
    geometry = _grid(folder, slices)
    return geometry, geometry.shape


def read_series(folder: Path) -> tuple[NDArray[Any], Geometry]:
    """Read the only series in a folder as (X, Y, Z), in the order of the slices' positions, and its grid in mm.

    Values are rescaled as the files say, to Hounsfield units in CT.

    Raises DataError, with all problems, for unreadable files; several series, which are listed; slices of different
    size, resolution or direction; slices that are missing, doubled or unevenly spaced; a tilted gantry; files with
    several frames or with colors; and non-finite voxels.
    """
    slices = _series(folder)
    geometry = _grid(folder, slices)
    with memory_for(str(folder), sum(one.size for one in slices)):
        arrays = _each_slice(slices)
        array = np.empty(geometry.shape, np.result_type(*{one.dtype for one in arrays}), order="F")
        for index, one in enumerate(arrays):
            array[:, :, index] = one.T
    return require_finite(folder, array), geometry


def _each_slice(slices: Sequence[Slice]) -> list[NDArray[Any]]:
    import SimpleITK

    arrays, problems = list[NDArray[Any]](), list[Problem]()
    for one in slices:
        try:
            arrays.append(SimpleITK.GetArrayFromImage(open_slice(one.path).Execute())[0])
        except RuntimeError:
            problems += unreadable(one.path).problems
        except DataError as error:
            problems += error.problems
    raise_all(problems, DataError)
    return arrays


def _series(folder: Path) -> list[Slice]:
    """Return the slices of the only series in a folder, by position. Raises DataError with all problems."""
    files = series_files(folder)
    if not files:
        raise DataError(Problem(str(folder), "there are no DICOM files in it", "Give the folder of one series."))
    slices, problems = list[Slice](), list[Problem]()
    for path in files:
        try:
            slices.append(read_slice(path))
        except DataError as error:
            problems += error.problems
    raise_all(problems, DataError)
    by_series: dict[str, list[Slice]] = {}
    for one in slices:
        by_series.setdefault(one.series, []).append(one)
    if len(by_series) > 1:
        raise DataError(Problem(str(folder), f"it has {len(by_series)} series:{_listed(folder, by_series)}", _ONE))
    raise_all([*_differences(folder, slices)], DataError)
    normal = np.cross(slices[0].axes[:, 0], slices[0].axes[:, 1])
    return sorted(slices, key=lambda one: float(one.position @ normal))


def _listed(folder: Path, by_series: dict[str, list[Slice]]) -> str:
    lines = [
        f"\n      {one[0].modality or '?'} {one[0].description or '(no description)'}: {counted(len(one), 'slice')},"
        f" for example {one[0].path.relative_to(folder)} (SeriesInstanceUID {uid or 'missing'})"
        for uid, one in by_series.items()
    ]
    more = f"\n      … and {len(lines) - 10} others" if len(lines) > 10 else ""
    return "".join(lines[:10]) + more


def _differences(folder: Path, slices: Sequence[Slice]) -> Iterator[Problem]:
    """Yield problems of slices that differ from the first in size, direction or resolution."""
    first = slices[0]
    length = np.sqrt((first.axes**2).sum(axis=0))
    sizes = [one for one in slices if one.shape != first.shape]
    turned = [one for one in slices if np.abs((one.axes - first.axes) / length).max() > _TURN]
    for aspect, others in (("size", sizes), ("direction or resolution", turned)):
        if others:
            names = some([one.path.name for one in others], 4)
            what = f"slices differ in {aspect} from {first.path.name}: {names}"
            yield Problem(str(folder), what, "Move localizers and other images away.")


def _grid(folder: Path, slices: Sequence[Slice]) -> Geometry:
    """Return the grid of slices in order. Raises DataError if they are not evenly spaced."""
    first = slices[0]
    normal = np.cross(first.axes[:, 0], first.axes[:, 1])
    normal /= np.sqrt(normal @ normal) or 1.0
    if len(slices) == 1:
        if not first.thickness:
            what = "it has a single slice, without a thickness"
            raise DataError(Problem(str(folder), what, "Add the other slices, or convert it to NIfTI."))
        step = normal * first.thickness
    else:
        raise_all(_gaps(folder, slices, np.array([one.position @ normal for one in slices])), DataError)
        step = (slices[-1].position - first.position) / (len(slices) - 1)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([first.axes, step])
    affine[:3, 3] = first.position
    affine = LPS_TO_RAS @ affine
    if problem := affine_problem(affine, "position, orientation, pixel spacing"):
        fix = "Convert it with dcm2niix, which corrects a tilted gantry." if "sheared" in problem[0] else problem[1]
        raise DataError(Problem(str(folder), problem[0], fix))
    raise_all(_shifted(folder, slices, np.column_stack([first.axes, step])), DataError)
    return Geometry((*first.shape, len(slices)), affine)


def _gaps(folder: Path, slices: Sequence[Slice], places: NDArray[np.float64]) -> list[Problem]:
    """Return problems of slices that are at the same place, missing or unevenly spaced, from their places in mm."""
    gaps = np.diff(places)
    distinct = gaps[gaps > 0.01 * gaps.max()]
    usual = float(np.median(distinct)) if gaps.max() > 0 else 0.0
    pairs = [f"{a.path.name} and {b.path.name}" for a, b in pairwise(slices)]
    doubled = [pair for pair, gap in zip(pairs, gaps, strict=True) if gap <= 0.01 * usual]
    if doubled:
        what = f"{counted(len(doubled), 'pair')} of slices {'is' if len(doubled) == 1 else 'are'} at the same place"
        fix = "Leave the files of one scan: one time point, echo, or diffusion weighting, without copies."
        return [Problem(str(folder), f"{what}: {some(doubled, 4)}", fix)]
    steps = np.rint(gaps / usual)
    if (np.abs(gaps / usual - steps) < _TOLERANCE).all() and (steps > 1).any():
        lost = [f"{int(n - 1)} between {pair}" for pair, n in zip(pairs, steps, strict=True) if n > 1]
        what = f"slices are missing: {some(lost, 4)}"
        return [Problem(str(folder), what, "Export the series again, completely.")]
    even = places[0] + (places[-1] - places[0]) * np.arange(len(places)) / (len(places) - 1)
    if np.abs(places - even).max() > _TOLERANCE * usual:
        what = f"its slices are unevenly spaced: {gaps.min():.4g} to {gaps.max():.4g} mm apart"
        fix = "Export the series again, or resample it to even distances (dcm2niix, 3D Slicer)."
        return [Problem(str(folder), f"{what}, for example {pairs[int(gaps.argmax())]}", fix)]
    return []


def _shifted(folder: Path, slices: Sequence[Slice], axes: NDArray[np.float64]) -> list[Problem]:
    """Return the problem of slices that are not at their places on the grid with these axes (3, 3)."""
    off = [one.position - slices[0].position - index * axes[:, 2] for index, one in enumerate(slices)]
    far = np.abs(np.linalg.solve(axes, np.array(off).T)).max(axis=0) > _TOLERANCE
    names = [one.path.name for one, is_far in zip(slices, far, strict=True) if is_far]
    what = f"slices are shifted against each other: {some(names, 4)}"
    return [Problem(str(folder), what, CONVERT)] if names else []
