"""Whether the files of cases can be used, found before training and without keeping anything of them."""

from collections.abc import Callable, Sequence

from semiseg.errors import DataError, Problem
from semiseg.interfaces.dataset import Dataset
from semiseg.threads import Progress, in_threads
from semiseg.types import Case, Geometry, Volume


def verify_cases(
    dataset: Dataset,
    cases: Sequence[Case],
    *,
    quick: bool = False,
    progress: Progress | None = None,
    workers: int | None = None,
) -> list[Problem]:
    """Everything that is wrong with the files of the cases, in the order of the cases.

    Every file is read to its end; images are checked for channels and content, labels for values and for the grid
    of their image. ``quick``: only that the files are there and the images' headers can be read.
    """
    check = _quick_check if quick else check_case
    found = in_threads(lambda case: problems_of(case, lambda: check(dataset, case)), cases, workers, progress)
    return [problem for problems in found for problem in problems]


def problems_of(case: Case, work: Callable[[], object]) -> list[Problem]:
    """What work on a case complains of; a problem that names no place gets the case's name."""
    try:
        work()
    except DataError as error:
        return [p if p.where else Problem(f"case {case.id}", p.what, p.fix) for p in error.problems]
    except OSError as error:
        return [Problem(f"case {case.id}", f"cannot be read: {error}")]
    return []


def check_case(dataset: Dataset, case: Case) -> None:
    """Read a case's image and its label, if it has one, to their ends. Raises DataError with all problems."""
    problems: list[Problem] = []
    geometry: Geometry | None = None
    try:
        image = dataset.read_image(case)
        geometry = image.geometry
        check_image(dataset, image)
        del image
    except DataError as error:
        problems += error.problems
    if case.label is not None:
        try:
            check_label(dataset, case, dataset.read_label(case), geometry)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)


def check_image(dataset: Dataset, image: Volume) -> None:
    """An image has a channel a modality, and content."""
    modalities = dataset.info().modalities
    if len(image.array) != len(modalities):
        raise DataError(f"its image has {len(image.array)} channels for modalities {', '.join(modalities)}")
    if not image.array.any():
        raise DataError("the image is empty: every voxel is 0", "Export the image again.")


def check_label(dataset: Dataset, case: Case, label: Volume, geometry: Geometry | None) -> None:
    """A label has known classes, and lies on the grid of its image (where that could be read)."""
    problems = []
    where = str(case.label)
    difference = geometry.difference(label.geometry) if geometry is not None else ""
    if difference:
        problems.append(Problem(where, f"the image and the label are on different grids: {difference}", _SAME_GRID))
    classes = dataset.info().classes
    if int(label.array.max(initial=0)) >= len(classes):
        problems.append(Problem(where, f"class {int(label.array.max())} is there, beyond {', '.join(classes)}"))
    if problems:
        raise DataError(problems)


_SAME_GRID = "Resample the label to its image (nearest neighbor), or mend the header that is wrong."


def _quick_check(dataset: Dataset, case: Case) -> None:
    files = [*case.images, *((case.label,) if case.label is not None else ())]
    missing = [Problem(str(path), "the file is missing") for path in files if not path.is_file()]
    if missing:
        raise DataError(missing)
    dataset.read_geometry(case)
