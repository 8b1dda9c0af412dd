"""The files of one case as volumes: images stacked on one grid, labels as class indices."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.formats.dicom import read_series, read_series_header
from semiseg.io.formats.text_header import has_text_header, read_text_header, read_with_text_header
from semiseg.io.labels import read_stored_label
from semiseg.io.names import is_picture
from semiseg.io.nifti import read_nifti, read_nifti_header
from semiseg.io.pictures import read_picture, read_picture_header
from semiseg.io.whole import LARGEST, whole_numbers
from semiseg.messages import some
from semiseg.types import IGNORED, Geometry, Volume

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UnknownValues(Problem):
    """The problem of a label with values that belong to no class: ``values``."""

    values: tuple[int, ...] = ()


def read_image_files(paths: Sequence[Path], modalities: Sequence[str]) -> Volume:
    """Read the image of one case, (C, X, Y, Z), C-contiguous, in the files' common numeric type.

    Args:
        paths: one 3-D file or gray picture per modality, in order, or one file with the modalities along its last
            axis, such as an RGB picture. A picture is a volume with one slice (``read_picture``). Volumes are NIfTI,
            NRRD, MetaImage, or folders with one DICOM series each.
        modalities: their names.

    Raises DataError, with the problems of all files, for unreadable files, a wrong number of axes or channels, and
    files on different grids.
    """
    arrays, geometries = zip(*_each(_read, paths), strict=True)
    geometry = _common_grid(paths, [array.shape for array in arrays], geometries, modalities)
    if len(paths) == 1:
        stored = arrays[0].reshape((*geometry.shape, len(modalities)), order="A")
        return Volume(np.ascontiguousarray(np.moveaxis(stored, -1, 0)), geometry)
    result = np.empty((len(arrays), *geometry.shape), np.result_type(*arrays))
    for channel, array in zip(result, arrays, strict=True):
        channel[...] = array.reshape(geometry.shape, order="A")
    return Volume(result, geometry)


def read_image_geometry(paths: Sequence[Path], modalities: Sequence[str]) -> Geometry:
    """Return the grid that ``read_image_files`` would give, from headers alone. Raises the same DataErrors."""
    geometries, shapes = zip(*_each(read_image_header, paths), strict=True)
    return _common_grid(paths, shapes, geometries, modalities)


def _read(path: Path) -> tuple[NDArray[Any], Geometry]:
    if is_picture(path):
        return read_picture(path)
    if has_text_header(path):
        return read_with_text_header(path)
    return read_series(path) if path.is_dir() else read_nifti(path)


def read_image_header(path: Path) -> tuple[Geometry, tuple[int, ...]]:
    """Return the grid of an image and the shape of its array, from headers. Raises DataError."""
    if is_picture(path):
        return read_picture_header(path)
    if has_text_header(path):
        return read_text_header(path).geometry()
    return read_series_header(path) if path.is_dir() else read_nifti_header(path)


def _each(read: Callable[[Path], T], paths: Sequence[Path]) -> list[T]:
    """Return the result for every file, or raise one error with the problems of all of them."""
    found: list[T] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found.append(read(path))
        except DataError as error:
            problems += error.problems
    raise_all(problems, DataError)
    return found


def _common_grid(
    paths: Sequence[Path],
    shapes: Sequence[tuple[int, ...]],
    geometries: Sequence[Geometry],
    modalities: Sequence[str],
) -> Geometry:
    names = ", ".join(modalities)
    if len(paths) not in {1, len(modalities)}:
        raise DataError(
            Problem(
                str(paths[0]),
                f"{len(paths)} files for {len(modalities)} modalities ({names})",
                "Give one per modality.",
            )
        )
    channels = len(modalities) if len(paths) == 1 else 1
    problems = [p for p in starmap(_axes_problem(channels, names), zip(paths, shapes, strict=True)) if p]
    for path, geometry in list(zip(paths, geometries, strict=True))[1:]:
        difference = geometries[0].difference(geometry)
        if difference:
            what = f"{paths[0]} and {path} are on different grids: {difference}"
            problems.append(Problem("", what, "Register and resample the modalities to one grid."))
    raise_all(problems, DataError)
    return geometries[0]


def _axes_problem(channels: int, names: str) -> Callable[[Path, tuple[int, ...]], Problem | None]:
    def problem(path: Path, shape: tuple[int, ...]) -> Problem | None:
        if (shape[3:] or (1,)) == (channels,):
            return None
        if is_picture(path):
            return Problem(str(path), *_colors_problem(len(shape) > 3, channels, names))
        wanted = "X, Y, Z" if channels == 1 else f"X, Y, Z, {channels}"
        what = f"its shape is {shape}, not ({wanted})"
        if channels > 1:
            return Problem(str(path), what, f"The last axis must hold {names}. Or give one file for each of them.")
        return Problem(str(path), what, "Extract one 3-D volume from it, for example with `fslroi` or nibabel.")

    return problem


def _colors_problem(rgb: bool, channels: int, names: str) -> tuple[str, str]:
    """Return what is wrong with the colors of a picture that should have this number of channels."""
    has = "it is RGB (3 channels)" if rgb else "it is gray (1 channel)"
    if channels == 3:
        return f"{has}, not RGB", f"Every picture must hold {names}. With Pillow: Image.open(FILE).convert('RGB')."
    if channels > 1:
        return f"{has}, but there are {channels} modalities ({names})", "Give one gray picture for each of them."
    rgb_fix = "Set dataset.modalities: [red, green, blue], if all pictures are RGB. Otherwise convert it to gray."
    return f"{has}, but one channel per file is expected ({names})", rgb_fix


def read_label_file(
    path: Path,
    label_map: Mapping[int, int],
    ignore: int | None = None,
    values: Mapping[str, int] | None = None,
) -> Volume:
    """Read a label file as class indices (X, Y, Z) uint8.

    ``label_map`` maps each stored value to its class index; the stored value ``ignore`` becomes IGNORED. Raises
    DataError, with all problems, for an unreadable file, fractional values and values that are not in ``label_map``,
    with their voxel counts. ``values`` are the stored values by class name, for files that name their segments
    (``read_slicer_label``). Values that are whole numbers up to the file's precision (``read_nifti_label``) are
    rounded.
    """
    array, geometry = _read_label(path, values)
    return Volume(to_classes(path, array, label_map, ignore), geometry)


def label_values(path: Path) -> set[int]:
    """Return the values in a label file. Raises DataError, with all problems, if some cannot be classes."""
    values, counts = np.unique(_read_label(path)[0], return_counts=True)
    problems = _fractions(path, values, counts)
    negative = values < 0
    if negative.any():
        what = f"it has values below 0: {_counted(zip(values[negative], counts[negative], strict=True), 3)}"
        problems.append(Problem(str(path), what, NEGATIVE))
    if len(values) and values[-1] > LARGEST:
        what = f"it has the value {int(values[-1])}, but the largest value of a class is {LARGEST}"
        problems.append(Problem(str(path), what, "Use smaller values for the classes."))
    raise_all(problems, DataError)
    return {int(value) for value in values}


NEGATIVE = (
    "Values of classes are 1 or more. If the file is an image (in Hounsfield units?), give its label instead. If a"
    " value marks\n    unlabeled voxels, have it ignored: dataset.ignore in a recipe, --labels VALUE=ignore in semiseg"
    " evaluate."
)


def _read_label(path: Path, values: Mapping[str, int] | None = None) -> tuple[NDArray[Any], Geometry]:
    array, geometry = read_stored_label(path, values)
    if array.shape != geometry.shape:
        what = f"its shape is {array.shape}, not (X, Y, Z)"
        raise DataError(Problem(str(path), what, "Store one value per voxel, not one map per class."))
    return array, geometry


def to_classes(
    path: Path, stored: NDArray[Any], label_map: Mapping[int, int], ignore: int | None = None
) -> NDArray[np.uint8]:
    """Map stored label values to class indices, C-contiguous uint8. Arguments and errors as for ``read_label_file``."""
    if ignore is not None:
        label_map = {**label_map, ignore: IGNORED}
    stored = whole_numbers(stored)
    values, counts = np.unique(stored, return_counts=True)
    whole = values == np.floor(values)
    problems = _fractions(path, values, counts)
    unknown = [(int(v), int(n)) for v, n in zip(values[whole], counts[whole], strict=True) if int(v) not in label_map]
    if unknown:
        held = tuple(value for value, _ in unknown)
        problems.append(UnknownValues(str(path), *_unknown_values(unknown, label_map), held))
    raise_all(problems, DataError)
    classes = np.zeros(stored.shape, np.uint8)
    for value in values:
        if label_map[int(value)]:
            classes[stored == value] = label_map[int(value)]
    return classes


def _fractions(path: Path, values: NDArray[Any], counts: NDArray[np.intp]) -> list[Problem]:
    broken = values != np.floor(values)
    if not broken.any():
        return []
    examples = ", ".join(f"{value:g}" for value in values[broken][:3])
    what = f"{counts[broken].sum():,} voxels are not whole numbers ({examples}{', …' if broken.sum() > 3 else ''})"
    return [Problem(str(path), what, "Resample labels with nearest-neighbor interpolation, or round them.")]


def _counted(found: Iterable[tuple[Any, Any]], most: int) -> str:
    return some([f"{int(value)} ({count:,} voxels)" for value, count in found], most)


def _unknown_values(unknown: Sequence[tuple[int, int]], label_map: Mapping[int, int]) -> tuple[str, str]:
    what = f"it has values that belong to no class: {_counted(unknown, 20)}"
    known = ", ".join(map(str, sorted(label_map)))
    return what, (
        f"Known values: {known}. If {unknown[0][0]} is another number for an existing class, add to the recipe:\n"
        f"    dataset:\n      label_map: {{{unknown[0][0]}: INDEX}}\n"
        "    where INDEX is that class's index, 0 for background. Do not map another structure to an existing class:\n"
        "    use the dataset folder, which lets you name classes, or leave its cases out."
    )
