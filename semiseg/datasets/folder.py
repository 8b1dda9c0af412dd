"""A plain folder of images with labels, and images without."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, field_validator

from semiseg.datasets._folder_names import FileNames, one_group, patient_in
from semiseg.datasets._nifti import (
    NiftiDataset,
    NiftiOptions,
    checked_cases,
    distinct_values,
    existing_root,
    merged_label_map,
    nifti_files_in,
    no_modality_twice,
    one_case,
    only_folder,
)
from semiseg.errors import DataError, Problem
from semiseg.io.finding import CONVERT, Found, find, is_named
from semiseg.io.labels import LARGEST_VALUE
from semiseg.io.names import image_stem, is_picture
from semiseg.io.volumes import UnknownValues
from semiseg.messages import some
from semiseg.types import Case, DatasetInfo, Volume

TREE = """Expected:
      ROOT/labeled/images/CASE.nii.gz        (CASE_0000.nii.gz, CASE_0001.nii.gz, … for several modalities)
      ROOT/labeled/labels/CASE.nii.gz
      ROOT/unlabeled/images/CASE.nii.gz      (likewise; optional)
      or CASE.png, .jpg or .tif instead of .nii.gz (labels: CASE.png or .tif)"""


class _Held(NamedTuple):
    """Contents of the folders of labeled images, their labels and unlabeled images."""

    images: Found
    labels: Found
    unlabeled: Found


class Folder(NiftiDataset):
    """Your own data: ``labeled/images``, ``labeled/labels`` and ``unlabeled/images`` in one folder.

    The files are volumes (NIfTI) or pictures: PNG, JPEG or TIFF, gray or RGB, with gray or indexed PNG or TIFF as
    labels. A picture is a volume with a single slice, and distances are in pixels. One dataset does not mix both.

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
        """Folder of the labeled cases' images, below root."""
        labels: str = "labeled/labels"
        """Folder of their labels, below root."""
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
        problems = [problem for part in held for problem in part.problems]
        labels: dict[str, list[Path]] = defaultdict(list)
        for path in held.labels.files:
            labels[image_stem(path)].append(path)
        if not held.images.files:
            raise DataError(problems or _no_images(held.images))
        problems += _labels_of_other_formats(held.labels)
        files = held.images.files, held.unlabeled.files
        problems += _mixed(self.options.root, [path for part in held for path in part.files])
        if is_picture(held.images.files[0]):
            problems += self._not_in_png()
        naming = FileNames.of([path for part in files for path in part], self.modalities)
        labeled, unlabeled = (naming.group(part, problems) for part in files)
        named = {naming.case_id(path) for path in files[0]}
        problems += _unpaired(labeled, labels, named, (held.labels.folder, held.unlabeled.folder))
        first = {case_id: paths[0] for case_id, paths in labels.items()}
        pattern = self.options.patient
        cases = [Case(i, images, first.get(i), patient_in(i, pattern, problems)) for i, images in labeled.items()]
        cases += [Case(i, images, None, patient_in(i, pattern, problems)) for i, images in unlabeled.items()]
        return checked_cases(cases, problems)

    def notes(self) -> tuple[str, ...]:
        """Return remarks on files that were found but are not read."""
        held = self._held()
        notes = [note for part in held for note in part.notes()]
        if held.unlabeled.files and self.options.unlabeled != "unlabeled/images":
            notes.append(f"the images of {self.options.unlabeled} are used as unlabeled cases")
        return tuple(notes)

    def _held(self) -> _Held:
        options = self.options
        unlabeled = find(self._place(options.unlabeled), image_stem) if options.unlabeled else Found(options.root)
        images, labels = (find(self._place(name), image_stem) for name in (options.images, options.labels))
        return _Held(images, labels, unlabeled)

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
        problems = _mixed(folder, files)
        found = FileNames.of(files, self.modalities).group(files, problems)
        return checked_cases([Case(case_id, images) for case_id, images in found.items()], problems)


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
        return Problem(str(held.folder), f"there are no NIfTI images in it, but {held.formats()}", CONVERT)
    return Problem(str(held.folder), "there are no images in it", TREE)


def _labels_of_other_formats(held: Found) -> list[Problem]:
    if not held.other:
        return []
    return [Problem(str(held.folder), f"there are labels in unsupported formats: {held.formats()}", CONVERT)]


def _unpaired(
    images: Mapping[str, Sequence[Path]],
    labels: Mapping[str, Sequence[Path]],
    named: Collection[str],
    places: tuple[Path, Path],
) -> list[Problem]:
    """Return problems for unpaired images and labels. A case in ``named`` without an image is already reported.

    ``places`` are the folders of labels and of unlabeled images.
    """
    fix = f"A label must have its image's case id. Move images without a label to {places[1]}."
    problems = [
        Problem(f"case {case_id}", f"it has no label {places[0] / case_id}{_label_ending(paths)}", fix)
        for case_id, paths in images.items()
        if case_id not in labels
    ]
    for case_id, paths in labels.items():
        if case_id not in images and case_id not in named:
            problems += [Problem(str(path), "it has no image", fix) for path in paths]
        elif len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            problems.append(Problem(f"case {case_id}", f"more than one label: {names}", "Keep the right one."))
    return problems


def _label_ending(images: Sequence[Path]) -> str:
    return ".png" if is_picture(images[0]) else ".nii.gz"
