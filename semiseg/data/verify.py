"""Checks before training that the files of cases are usable, without keeping anything of them."""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from semiseg.errors import DataError, Problem, StorageError, raise_all
from semiseg.interfaces.dataset import Dataset
from semiseg.io.labels import read_label_header
from semiseg.threads import Progress, in_threads
from semiseg.types import IGNORED, Case, Geometry, Volume

Look = Callable[[Case, Volume], object]


def verify_cases(
    dataset: Dataset,
    cases: Sequence[Case],
    *,
    quick: bool = False,
    progress: Progress | None = None,
    workers: int | None = None,
    look: Look | None = None,
    look_image: Look | None = None,
) -> list[Problem]:
    """Return everything that is wrong with the files of the cases, in the order of the cases.

    Every file is read to its end. Images are checked for channels and content, labels for values and for the grid of
    their image. ``quick`` checks only that the files exist, and the headers: of images, and of labels in NIfTI files
    and pictures. ``look`` is called with each readable label, in the thread that read it, and ``look_image`` with each
    usable image; with ``quick`` neither is called.
    """

    def check(case: Case) -> None:
        if quick:
            _quick_check(dataset, case)
        else:
            check_case(dataset, case, look, look_image)

    found = in_threads(lambda case: problems_of(case, lambda: check(case)), cases, workers, progress)
    return [problem for problems in found for problem in problems]


_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors that only writing causes, so that the case is not at fault."""


def problems_of(case: Case, work: Callable[[], object]) -> list[Problem]:
    """Return the problems that work on a case raises; a problem without a place gets the case's name.

    Raises StorageError if the work cannot write.
    """
    try:
        work()
    except DataError as error:
        return named(case, error)
    except OSError as error:
        if error.errno in _WRITING:
            fix = "Free some space, or set another store with preprocessing.store or SEMISEG_CACHE."
            raise StorageError(f"The case store cannot be written: {error}.", fix) from error
        return [Problem(f"case {case.id}", f"cannot be read: {error}")]
    return []


def named(case: Case, error: DataError) -> list[Problem]:
    """Return the problems of an error about a case; one without a place gets the case's name."""
    return [p if p.where else Problem(f"case {case.id}", p.what, p.fix) for p in error.problems]


def check_case(dataset: Dataset, case: Case, look: Look | None = None, look_image: Look | None = None) -> None:
    """Read a case's image and its label, if it has one, to their ends. Raises DataError with all problems.

    ``look`` is called with the label, and ``look_image`` with the image if it is usable.
    """
    problems: list[Problem] = []
    geometry: Geometry | None = None
    try:
        image = dataset.read_image(case)
        geometry = image.geometry
        check_image(dataset, image)
        if look_image is not None:
            look_image(case, image)
        del image
    except DataError as error:
        problems += error.problems
    if case.label is not None:
        problems += _label_problems(dataset, case, geometry, look)
    raise_all(_once(problems), DataError)


def _label_problems(dataset: Dataset, case: Case, image: Geometry | None, look: Look | None = None) -> list[Problem]:
    """Return what is wrong with a label, read to its end and compared with its image's grid, if known."""
    try:
        label = dataset.read_label(case)
        if look is not None:
            look(case, label)
        check_label(dataset, case, label, image)
    except DataError as error:
        return list(error.problems)
    return []


def _once(problems: Sequence[Problem]) -> list[Problem]:
    # A dataset that compares a label with its image's header repeats the image's problems.
    return list(dict.fromkeys(problems))


def check_image(dataset: Dataset, image: Volume) -> None:
    """Check that an image has one channel per modality, and content."""
    modalities = dataset.info().modalities
    if len(image.array) != len(modalities):
        raise DataError(f"its image has {len(image.array)} channels, not one for each of {', '.join(modalities)}")
    if not image.array.any():
        raise DataError("the image is empty: every voxel is 0", "Export the image again.")
    wide = image.array.dtype.kind == "f" and image.array.dtype.itemsize > 4
    if wide and max(image.array.max(), -image.array.min()) > np.finfo(np.float32).max:
        raise DataError("the image has values too large for float32", "Scale its intensities.")


def check_label(dataset: Dataset, case: Case, label: Volume, geometry: Geometry | None) -> None:
    """Check that a label has known classes and lies on the grid of its image, if that could be read."""
    problems = []
    where = str(case.label)
    difference = geometry.difference(label.geometry) if geometry is not None else ""
    if difference:
        problems.append(Problem(where, f"the image and the label are on different grids: {difference}", _SAME_GRID))
    info = dataset.info()
    highest = int(label.array.max(initial=0))
    if info.has_ignored and highest == IGNORED:
        highest = int(label.array.max(initial=0, where=label.array != IGNORED))
    if highest >= len(info.classes):
        problems.append(Problem(where, f"the label has class {highest}, beyond {', '.join(info.classes)}"))
    raise_all(problems, DataError)


_SAME_GRID = "Resample the label to its image (nearest neighbor), or correct the wrong header."


def _quick_check(dataset: Dataset, case: Case) -> None:
    files = [*case.images, *((case.label,) if case.label is not None else ())]
    missing = [Problem(str(path), "the file is missing") for path in files if not path.exists()]
    raise_all(missing, DataError)
    problems: list[Problem] = []
    geometry: Geometry | None = None
    try:
        geometry = dataset.read_geometry(case)
    except DataError as error:
        problems += error.problems
    if case.label is not None and _doubtful(case.label, geometry):
        problems += _label_problems(dataset, case, geometry)
    raise_all(_once(problems), DataError)


def _doubtful(label: Path, image: Geometry | None) -> bool:
    """Return whether the header of a label looks wrong (NIfTI, pictures); reading it then reports the problem."""
    try:
        header = read_label_header(label)
    except DataError:
        return True
    if header is None:
        return False
    geometry, shape = header
    return bool(shape[3:]) or (image is not None and bool(image.difference(geometry)))
