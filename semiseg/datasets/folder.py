"""A plain folder of images with labels, and images without."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, field_validator

from semiseg.datasets._folder_names import TO_PREDICT, FileNames, one_group, patient_in
from semiseg.datasets._nifti import (
    NiftiDataset,
    NiftiOptions,
    cases_to_predict,
    checked_cases,
    distinct_values,
    existing_root,
    merged_label_map,
    nifti_files_in,
    no_modality_twice,
    one_case,
    only_folder,
)
from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.finding import CONVERT, Found, find, is_folder, is_named
from semiseg.io.formats.pairs import CaseFolders, find_pairs, labels_by_case, unnumbered, without_labels
from semiseg.io.formats.series import with_series
from semiseg.io.labels import LARGEST_VALUE
from semiseg.io.names import image_stem, is_picture
from semiseg.io.volumes import UnknownValues
from semiseg.messages import counted, some
from semiseg.types import Case, DatasetInfo, Volume

TREE = """Expected:
      ROOT/labeled/images/CASE.nii.gz        (CASE_0000.nii.gz, CASE_0001.nii.gz, … for several modalities)
      ROOT/labeled/labels/CASE.nii.gz
      ROOT/unlabeled/images/CASE.nii.gz      (likewise; optional)
      or .nrrd, .mha or DICOM folders CASE/ instead of .nii.gz (labels: .nrrd, .seg.nrrd or .mha)
      or CASE.png, .jpg or .tif instead of .nii.gz (labels: CASE.png or .tif)"""


class _Held(NamedTuple):
    """Contents of the folders of labeled images, their labels and unlabeled images."""

    images: Found
    labels: Found
    unlabeled: Found
    case_folders: CaseFolders | None = None

    @property
    def parts(self) -> tuple[Found, Found, Found]:
        """The three results."""
        return self.images, self.labels, self.unlabeled

    def labels_by_case(self, paths: Sequence[Path], ids: Collection[str]) -> Mapping[str, Sequence[Path]]:
        """Return label files by the id of their case; ``ids`` are those of the images."""
        return self.case_folders.labels(paths) if self.case_folders else labels_by_case(paths, ids)


class Folder(NiftiDataset):
    """Your own data: ``labeled/images``, ``labeled/labels`` and ``unlabeled/images`` in one folder.

    The files are volumes (NIfTI, NRRD, MetaImage; images also as DICOM folders) or pictures: PNG, JPEG or TIFF, gray or
    RGB, with gray or indexed PNG or TIFF as labels. A picture is a volume with a single slice, and distances are in
    pixels. One dataset does not mix both. Images without a label are unlabeled cases, wherever they are.

    If ``images`` and ``labels`` are the same folder, it holds pairs as 3D Slicer saves them: ``CASE.nrrd`` with
    ``CASE-label.nrrd`` or ``CASE.seg.nrrd``, or one folder per case. Segments are the classes of the same names.

    The three may have other names: ``images: imagesTr``, ``labels: labelsTr`` and ``unlabeled: imagesTs`` read an
    nnU-Net dataset. ``labelled`` and ``unlabelled`` are accepted.

    With one modality, an image is ``CASE.nii.gz``; with several, it is one file per modality, ``CASE_0000.nii.gz``,
    ``CASE_0001.nii.gz`` and so on, as in nnU-Net. If all images end in ``_0000``, that ending is removed from the case
    id with one modality, too. A label is ``CASE.nii.gz``. An RGB picture is one file with three modalities.
    """

    reads_pictures = True

    class Options(NiftiOptions):
        """Options of a plain folder."""

        root: Path
        """Folder that contains labeled/images, labeled/labels and unlabeled/images."""
        classes: dict[str, int] = Field(min_length=1)
        """Stored value of each class, such as `{liver: 1, tumor: 2}`; background is 0 and need not be listed."""
        modalities: tuple[str, ...] = Field(default=("image",), min_length=1)
        """Names of the modalities, in the order of the files' numbers."""
        images: str = "labeled/images"
        """Folder of the labeled cases' images, below root; those without a label are unlabeled cases."""
        labels: str = "labeled/labels"
        """Folder of their labels, below root; the same folder if labels are beside their images."""
        unlabeled: str = "unlabeled/images"
        """Folder of the unlabeled cases' images, below root; it need not exist. Empty for none."""
        patient: str = ""
        """Regular expression with one group for the patient in a case id, such as `(.+)_scan\\d+`; default: the id."""

        newer = NiftiOptions.newer | {"images", "labels", "unlabeled"}

        _distinct_values = field_validator("classes")(distinct_values)
        _no_duplicates = field_validator("modalities")(no_modality_twice)
        _one_group = field_validator("patient")(one_group)

    def info(self) -> DatasetInfo:
        """Return modalities, classes and label values, as set in the options."""
        values = (0, *self.options.classes.values())
        classes = ("background", *self.options.classes)
        usual = {value: index for index, value in enumerate(values)}
        label_map = merged_label_map(usual, self.options.label_map, classes)
        return DatasetInfo("folder", self.modalities, classes, label_map, values, ignore=self.options.ignore)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the image's channels, in order."""
        return tuple(self.options.modalities)

    def cases(self) -> tuple[Case, ...]:
        """Return all cases, ordered by id. Raises DataError with every unpaired or duplicate image or label."""
        existing_root(self.options.root)
        held = self._held()
        problems = [problem for part in held.parts for problem in part.problems]
        if not held.images.files:
            raise DataError(problems or _no_images(held.images))
        problems += _labels_of_other_formats(held.labels)
        files = held.images.files, held.unlabeled.files
        problems += _mixed(self.options.root, [path for part in held.parts for path in part.files])
        if is_picture(held.images.files[0]):
            problems += self._not_in_png()
        naming = FileNames.of([path for part in files for path in part], self.modalities)
        of_images = held.case_folders or naming
        labeled, unlabeled = of_images.group(files[0], problems), naming.group(files[1], problems)
        named = {of_images.case_id(path) for path in files[0]}
        labels = held.labels_by_case(held.labels.files, named)
        problems += _unpaired(labeled, labels, named)
        deeper = held.labels_by_case(held.labels.deeper, named)
        problems += _in_subfolders(deeper, named - {*labels}, held.labels.folder)
        first = {case_id: paths[0] for case_id, paths in labels.items()}
        pattern = self.options.patient
        cases = [Case(i, images, first.get(i), patient_in(i, pattern, problems)) for i, images in labeled.items()]
        cases += [Case(i, images, None, patient_in(i, pattern, problems)) for i, images in unlabeled.items()]
        return checked_cases(cases, problems)

    def notes(self) -> tuple[str, ...]:
        """Return remarks on files that were found but are not read."""
        held, cases = self._held(), self.cases()
        notes = [note for part in held.parts for note in part.notes()]
        ids = [case.id for case in cases if case.label is None and {*case.images} & {*held.images.files}]
        if ids:
            are = f"{counted(len(ids), 'image')} {'has' if len(ids) == 1 else 'have'} no label"
            notes.append(f"{held.images.folder}: {are}, counted as unlabeled: {some(ids, 4)}")
        named = [case.label.name for case in cases if case.label and self._has_number(case.label, case.id)]
        if named:
            notes.append(f"labels named like a modality are read as those of their cases: {some(named, 2)}")
        if held.unlabeled.files and self.options.unlabeled != "unlabeled/images":
            notes.append(f"the images of {self.options.unlabeled} are counted as unlabeled cases")
        return (*notes, *self._other_folders())

    def _other_folders(self) -> Iterator[str]:
        """Yield notes on images in folders of the root that are not read, such as ``labels_new``."""
        root, names = Path(self.options.root), (self.options.images, self.options.labels, self.options.unlabeled)
        places = [self._place(name) for name in names if name]
        if root in places:  # its folders are cases
            return
        read = {place.relative_to(root).parts[0] for place in places}
        for path in _listed(root):
            files = find(path, image_stem).files if is_folder(path) and path.name not in read else ()
            if files:
                yield f"{path}: {counted(len(files), 'file')} {'is' if len(files) == 1 else 'are'} not read"

    @staticmethod
    def _has_number(label: Path, case_id: str) -> bool:
        stem = image_stem(label)
        return stem != case_id == unnumbered(stem)

    def _held(self) -> _Held:
        options = self.options
        unlabeled = Found(options.root)
        if options.unlabeled:
            unlabeled = with_series(find(self._place(options.unlabeled), image_stem))
        images, labels = self._place(options.images), self._place(options.labels)
        if images == labels:
            found = find_pairs(images)
            return _Held(*found[:2], unlabeled, found[2])
        return _Held(with_series(find(images, image_stem)), find(labels, image_stem), unlabeled)

    def _not_in_png(self) -> list[Problem]:
        """Return a problem if predictions could not be written as PNG."""
        name, value = max(self.options.classes.items(), key=lambda item: item[1])
        if value <= LARGEST_VALUE:
            return []
        what = f"{name} has the value {value}; the largest one in a PNG, as predictions are written, is {LARGEST_VALUE}"
        return [Problem("dataset.classes", what, "Use smaller values in the labels.")]

    def _place(self, name: str) -> Path:
        """Return a folder below the root, with British spelling if only that exists."""
        place = Path(self.options.root) / name
        british = Path(self.options.root) / re.sub(r"^(un)?labeled\b", r"\1labelled", name)
        return british if is_named(british) and not is_named(place) else place

    def read_label(self, case: Case) -> Volume:
        """Read a label as other NIfTI datasets do; for an unknown value, the fix first suggests adding a class."""
        try:
            return super().read_label(case)
        except DataError as error:
            problems = [_or_a_class(p) if isinstance(p, UnknownValues) else p for p in error.problems]
            raise DataError(problems) from error

    def new_cases(self, paths: Sequence[Path]) -> tuple[Case, ...]:
        """Return cases to predict: all images in a folder, or one case's files in modality order."""
        folder = only_folder(paths)
        if folder is None:
            naming = FileNames.of(paths, self.modalities)
            if len(paths) > 1 and naming.together:  # a wrong number of gray pictures, or of RGB ones
                naming = replace(naming, numbered=True, together=False)
            return (one_case(paths, naming.parts, naming.parse, image_stem),)
        files = nifti_files_in(folder, image_stem)
        files = without_labels(files)
        problems = _mixed(folder, files)
        raise_all(problems, DataError)
        naming = replace(FileNames.of(files, self.modalities), key=TO_PREDICT)
        found = naming.group(files, problems)
        pattern = self.options.patient
        cases = [Case(i, images, None, patient_in(i, pattern, [])) for i, images in found.items()]
        return cases_to_predict(cases, problems)


def _listed(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing if it may be passed through but not listed."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _or_a_class(problem: UnknownValues) -> Problem:
    """Return a problem whose fix first suggests a new class, if the value is valid for one."""
    value = next((value for value in problem.values if value > 0), None)
    if value is None:
        return problem
    own = f"To make {value} a separate class, add to the recipe:\n    dataset:\n      classes: {{NAME: {value}}}"
    return replace(problem, fix=f"{own}\n    {problem.fix}")


def _mixed(root: Path, files: Sequence[Path]) -> list[Problem]:
    """Return a problem if some files are volumes and others pictures."""
    pictures = [str(path.relative_to(root)) for path in files if is_picture(path)]
    volumes = [str(path.relative_to(root)) for path in files if not is_picture(path)]
    if not pictures or not volumes:
        return []
    what = f"it has volumes ({some(volumes, 3)}) and pictures ({some(pictures, 3)})"
    return [Problem(str(root), what, "A dataset is either: move the others to another folder, or convert them.")]


def _no_images(held: Found) -> Problem:
    if held.other:
        return Problem(str(held.folder), f"there are no images in it, but {held.formats()}", CONVERT)
    return Problem(str(held.folder), "there are no images in it", TREE)


def _labels_of_other_formats(held: Found) -> list[Problem]:
    if not held.other:
        return []
    return [Problem(str(held.folder), f"there are labels in unsupported formats: {held.formats()}", CONVERT)]


def _unpaired(
    images: Mapping[str, Sequence[Path]], labels: Mapping[str, Sequence[Path]], named: Collection[str]
) -> list[Problem]:
    """Return problems for labels without an image. A case in ``named`` without an image is already reported."""
    bare = [case_id for case_id in images if case_id not in labels]
    fix = f"A label must have its image's case id. Images without a label: {some(bare, 4) or 'none'}."
    problems = [] if labels else [Problem("", "there are no labels, only images", TREE)]
    for case_id, paths in labels.items():
        if case_id not in images and case_id not in named:
            problems += [Problem(str(path), "it has no image", fix) for path in paths]
        elif len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            problems.append(Problem(f"case {case_id}", f"more than one label: {names}", "Keep the right one."))
    return problems


def _in_subfolders(labels: Mapping[str, Sequence[Path]], unlabeled: Collection[str], folder: Path) -> list[Problem]:
    """Return problems for labels in subfolders, which are not read, of cases that have no other label."""
    return [
        Problem(
            str(path),
            f"by its name, it is the label of case {case_id}, but it is in a subfolder",
            f"Move it to {folder}.",
        )
        for case_id, paths in labels.items()
        if case_id in unlabeled
        for path in paths
    ]
