"""Shared code for datasets of volumes in files: reading a case, checking a list of cases, and cases from new files."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import Field

from semiseg.errors import DataError, Problem, ProtocolError, SomeCasesError, raise_all
from semiseg.interfaces.component import ComponentOptions
from semiseg.interfaces.dataset import Dataset
from semiseg.io.case_labels import read_case_label
from semiseg.io.finding import CONVERT, find
from semiseg.io.formats.dicom_slices import holds_dicom
from semiseg.io.formats.series import with_series
from semiseg.io.names import VOLUMES, is_picture, name_problems, shared_name, volume_stem
from semiseg.io.volumes import read_image_files, read_image_geometry
from semiseg.io.whole import LARGEST
from semiseg.types import Case, Geometry, Volume

ParseName = Callable[[Path], tuple[str, str] | None]
"""A function from an image file to its case id and modality; None if the name does not contain them."""

Stem = Callable[[Path], str]
"""A function from an image file to its name without the ending; empty for files that are not read."""
Names = TypeVar("Names", bound=tuple[str, ...])


def no_modality_twice(modalities: Names) -> Names:
    """Return the names unchanged. Raises ValueError, as a pydantic validator, if one occurs twice."""
    if len(set(modalities)) < len(modalities):
        raise ValueError(f"a modality is listed twice: {', '.join(modalities)}")
    return modalities


def distinct_values(classes: dict[str, int]) -> dict[str, int]:
    """Return foreground classes by stored value. Raises ValueError if two share a value, or one is below 1."""
    foreground = {name: value for name, value in classes.items() if (name, value) != ("background", 0)}
    if "background" in foreground:
        raise ValueError("do not list background, which is always 0; if this is another class, rename it")
    values = list(foreground.values())
    if not values or min(values) < 1 or len(set(values)) < len(values):
        raise ValueError("each class needs its own stored value, at least 1 (0 is background)")
    if max(values) > LARGEST:
        raise ValueError(f"a class's stored value must be at most {LARGEST}, the largest in label files")
    return dict(sorted(foreground.items(), key=lambda item: item[1]))


class NiftiOptions(ComponentOptions):
    """Options shared by all datasets of volumes in files."""

    label_map: dict[int, int] = Field(default_factory=dict)
    """Class index (0 is background) of additional stored label values, such as `{205: 1}`."""
    ignore: int | None = None
    """Stored value of ignored voxels, which count in no loss and no score: those that nobody labeled, for example."""

    newer = frozenset({"ignore"})


class NiftiDataset(Dataset):
    """Cases whose images and labels are volumes in files: NIfTI, NRRD, MetaImage; images also as DICOM folders."""

    Options = NiftiOptions
    reads_pictures: ClassVar[bool] = False
    """Whether its files may also be pictures."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the image's channels, in order."""
        return self.info().modalities

    def read_image(self, case: Case) -> Volume:
        """Return the image (C, X, Y, Z) in its stored numeric type."""
        self._require_readable(case.images)
        return read_image_files(case.images, self.modalities)

    def read_geometry(self, case: Case) -> Geometry:
        """Return the grid of the image from the headers of all modalities."""
        self._require_readable(case.images)
        return read_image_geometry(case.images, self.modalities)

    def read_label(self, case: Case) -> Volume:
        """Return the label (X, Y, Z) as class indices or IGNORED; it must be on the image's grid."""
        if case.label is None:
            raise ProtocolError(f"Case {case.id} has no label here.", "Its label must not be read.")
        self._require_readable([case.label])
        return read_case_label(case.id, case.label, case.images[0], partial(self.read_geometry, case), self.info())

    def _require_readable(self, files: Sequence[Path]) -> None:
        pictures = [] if self.reads_pictures else [path for path in files if is_picture(path)]
        what, fix = "the file is not a volume", "Convert it to .nii.gz, or use the dataset folder for pictures."
        raise_all([Problem(str(path), what, fix) for path in pictures], DataError)


def merged_label_map(usual: Mapping[int, int], extra: Mapping[int, int], classes: Sequence[str]) -> dict[int, int]:
    """Return the usual class indices of stored values, updated by the option ``label_map``. Raises DataError."""
    wrong = {value: index for value, index in extra.items() if not 0 <= index < len(classes)}
    if wrong:
        what = f"{wrong} has class indices that do not exist"
        known = ", ".join(f"{index} {name}" for index, name in enumerate(classes))
        raise DataError(Problem("dataset.label_map", what, f"Classes: {known}."))
    return {**usual, **extra}


def existing_root(root: Path) -> Path:
    """Return the folder itself. Raises DataError if it does not exist."""
    if not root.is_dir():
        raise DataError(Problem(str(root), "folder not found", "Set dataset.root to the folder of the data."))
    return root


def checked_cases(cases: Iterable[Case], problems: Sequence[Problem] = ()) -> tuple[Case, ...]:
    """Return the cases ordered by id. Raises DataError with ``problems``, invalid file names and repeated ids."""
    ordered = sorted(cases, key=lambda case: case.id)
    counts = Counter(case.id for case in ordered)
    twice = [
        Problem(
            f"case {case_id}",
            "its id occurs more than once: " + ", ".join(str(case.images[0]) for case in ordered if case.id == case_id),
            "Remove the copies, or rename one of the cases.",
        )
        for case_id, count in counts.items()
        if count > 1
    ]
    raise_all([*problems, *name_problems(counts), *twice], DataError)
    return tuple(ordered)


def cases_to_predict(cases: Sequence[Case], problems: Sequence[Problem] = ()) -> tuple[Case, ...]:
    """Return the cases of a folder ordered by id; ``problems`` are those of cases that are not among them.

    Raises SomeCasesError, with the usable cases, if there are problems, invalid names or repeated ids, and DataError if
    no case can be used.
    """
    try:
        return checked_cases(cases, problems)
    except DataError as error:
        counts = Counter(case.id for case in cases)
        usable = [case for case in cases if counts[case.id] == 1 and not name_problems([case.id])]
        if not usable:
            raise
        raise SomeCasesError(error.problems, sorted(usable, key=lambda case: case.id)) from error


def named_by_files(listed: Sequence[tuple[tuple[Path, ...], Path | None]]) -> list[Case]:
    """Return cases of image files and a label, named by the common part of a case's file names.

    If cases share a name that way, all are named by the nearest parent folder that distinguishes them, or by as many
    folders as necessary.
    """
    names = [shared_name([volume_stem(path) or path.name for path in images]) for images, _ in listed]
    above = [images[0].parent.parts for images, _ in listed]
    # An unlabeled image with a labeled case's name is no reason to rename: it may be the same scan.
    labeled = [place for place, (_, label) in enumerate(listed) if label is not None] or range(len(listed))
    candidates = _by_folders(names, above)
    chosen = next((found for found in candidates if len({found[i] for i in labeled}) == len(labeled)), names)
    return [Case(name, images, label) for name, (images, label) in zip(chosen, listed, strict=True)]


def _by_folders(names: list[str], above: list[tuple[str, ...]]) -> Iterator[Sequence[str]]:
    """Yield candidate names of cases: unchanged, by one parent folder, and by several folders and the name."""
    yield names
    yield from zip(*map(reversed, above), strict=False)
    for depth in range(1, min(map(len, above), default=0)):
        alone = len(set(names)) == 1  # then the name carries no information
        yield ["_".join([*folders[-depth:], *([] if alone else [n])]) for n, folders in zip(names, above, strict=True)]


def only_folder(paths: Sequence[Path]) -> Path | None:
    """Return the folder if exactly one is given, unless it is an image: a folder of DICOM files, without other volumes.

    Raises DataError for no paths or paths that do not exist.
    """
    if not paths:
        raise DataError("No images were given.", "Give a folder, or the image files of one case.")
    missing = [Problem(str(path), "file not found", "Check the path.") for path in paths if not path.exists()]
    raise_all(missing, DataError)
    folder = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    if folder is None or (holds_dicom(folder, directly=True) and not find(folder, volume_stem).files):
        return None
    return folder


def nifti_files_in(folder: Path, stem: Stem = volume_stem) -> Sequence[Path]:
    """Return the files of a folder with a stem, including unreadable ones, and the DICOM folders in it.

    Raises DataError if there are none.
    """
    found = with_series(find(folder, stem))
    raise_all(found.lost, DataError)
    if not found.files:
        what = f"it contains no images{f', but {found.formats()}' if found.other else ''}"
        raise DataError(Problem(str(folder), what, CONVERT if found.other else "Give the folder of the images."))
    return found.files


def one_case(paths: Sequence[Path], modalities: Sequence[str], parse: ParseName, stem: Stem = volume_stem) -> Case:
    """Return the case with these image files, one per modality, in order.

    Raises DataError if the number of files is wrong, if a name indicates another modality or another case, or if a file
    is given twice.
    """
    order = f"Give the files of one case in this order: {', '.join(modalities)}."
    if len(paths) != len(modalities):
        given = ", ".join(path.name for path in paths)
        raise DataError(f"{len(paths)} files for {len(modalities)} modalities: {given}.", order)
    problems = []
    named = [parse(path) for path in paths]
    for path, wanted, said in zip(paths, modalities, named, strict=True):
        if said and said[1] != wanted:
            problems.append(Problem(str(path), f"by its name, this is {said[1]}, but {wanted} is expected", order))
    ids = sorted({said[0] for said in named if said})
    if len(ids) > 1:
        problems.append(Problem("", f"the files belong to different cases: {', '.join(ids)}", order))
    if len(set(paths)) < len(paths):
        problems.append(Problem("", "a file is given more than once", order))
    raise_all(problems, DataError)
    stems = [stem(path) or (path.name if path.is_dir() else "") for path in paths]
    case_id = ids[0] if ids else shared_name(stems)
    if not stems[0] or not case_id:
        what, fix = "by its name, it is not a volume", f"Images must be {', '.join(VOLUMES)}, or a DICOM folder."
        if stem is not volume_stem:
            what, fix = f"{what} or picture", f"{fix[:-1]}, or .png, .jpg or .tif."
        raise DataError(Problem(str(paths[0]), what, fix))
    return checked_cases([Case(case_id, tuple(paths))])[0]
