"""A plain folder of images with labels, and images without."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, field_validator

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
from semiseg.io.names import nifti_stem
from semiseg.io.volumes import UnknownValues
from semiseg.types import Case, DatasetInfo, Volume

TREE = """Expected:
      ROOT/labeled/images/CASE.nii.gz        (CASE_0000.nii.gz, CASE_0001.nii.gz, … for several modalities)
      ROOT/labeled/labels/CASE.nii.gz
      ROOT/unlabeled/images/CASE.nii.gz      (likewise; optional)"""
_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})", re.DOTALL)


class _Held(NamedTuple):
    """Contents of the folders of labeled images, their labels and unlabeled images."""

    images: Found
    labels: Found
    unlabeled: Found


class Folder(NiftiDataset):
    """Your own data: ``labeled/images``, ``labeled/labels`` and ``unlabeled/images`` in one folder.

    The three may have other names: ``images: imagesTr``, ``labels: labelsTr`` and ``unlabeled: imagesTs`` read an
    nnU-Net dataset. ``labelled`` and ``unlabelled`` are accepted.

    With one modality, an image is ``CASE.nii.gz``; with several, it is one file per modality, ``CASE_0000.nii.gz``,
    ``CASE_0001.nii.gz`` and so on, as in nnU-Net. If all images end in ``_0000``, that ending is removed from the case
    id with one modality, too. A label is ``CASE.nii.gz``.
    """

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

        @field_validator("patient")
        @classmethod
        def _one_group(cls, pattern: str) -> str:
            try:
                groups = re.compile(pattern).groups
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
            if pattern and groups != 1:
                raise ValueError(f"it has {groups} groups; use one, around the part of the id that is the patient's")
            return pattern

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
            labels[nifti_stem(path)].append(path)
        if not held.images.files:
            raise DataError(problems or _no_images(held.images))
        problems += _labels_of_other_formats(held.labels)
        files = held.images.files, held.unlabeled.files
        numbered = self._numbered([path for part in files for path in part])
        labeled, unlabeled = (self._group(part, numbered, problems) for part in files)
        named = {self._case_id(path, numbered) for path in files[0]}
        problems += _unpaired(labeled, labels, named, (held.labels.folder, held.unlabeled.folder))
        first = {case_id: paths[0] for case_id, paths in labels.items()}
        cases = [Case(i, images, first.get(i), self._patient(i, problems)) for i, images in labeled.items()]
        cases += [Case(i, images, None, self._patient(i, problems)) for i, images in unlabeled.items()]
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
        unlabeled = find(self._place(options.unlabeled)) if options.unlabeled else Found(options.root)
        return _Held(find(self._place(options.images)), find(self._place(options.labels)), unlabeled)

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
            numbered = self._numbered(paths)
            return (one_case(paths, self.modalities, lambda path: self._parse(path, numbered)),)
        files = nifti_files_in(folder)
        problems: list[Problem] = []
        found = self._group(files, self._numbered(files), problems)
        return checked_cases([Case(case_id, images) for case_id, images in found.items()], problems)

    def _numbered(self, files: Sequence[Path]) -> bool:
        """Return whether names end in a modality number. With one modality, all must: ids end in digits, too."""
        return len(self.modalities) > 1 or all(nifti_stem(path).endswith("_0000") for path in files)

    def _parse(self, path: Path, numbered: bool) -> tuple[str, str] | None:
        """Return case id and modality from a file's name; the number itself if there is no such modality."""
        match = _CHANNEL.fullmatch(nifti_stem(path)) if numbered else None
        if match is None:
            return None
        channel = int(match["channel"])
        return match["case"], self.modalities[channel] if channel < len(self.modalities) else match["channel"]

    def _case_id(self, path: Path, numbered: bool) -> str:
        parsed = self._parse(path, numbered)
        return parsed[0] if parsed else nifti_stem(path)

    def _group(self, files: Sequence[Path], numbered: bool, problems: list[Problem]) -> Mapping[str, tuple[Path, ...]]:
        """Return the image files of each case in modality order; problems are appended to ``problems``."""
        found: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
        for path in files:
            parsed = self._parse(path, numbered)
            if parsed is None and numbered:
                fix = (
                    f"Name it CASE_0000.nii.gz to CASE_{len(self.modalities) - 1:04d}.nii.gz, one file per modality, or"
                    " set dataset.modalities to one name."
                )
                problems.append(Problem(str(path), "its name does not end in a modality number", fix))
                continue
            case_id, modality = parsed or (nifti_stem(path), self.modalities[0])
            found[case_id][modality].append(path)
        for case_id, by_modality in found.items():
            problems += self._modality_problems(case_id, by_modality)
        names = self.modalities
        return {i: tuple(by[name][0] for name in names) for i, by in found.items() if all(by.get(n) for n in names)}

    def _modality_problems(self, case_id: str, files: Mapping[str, list[Path]]) -> list[Problem]:
        where, order = f"case {case_id}", ", ".join(f"_{i:04d} {name}" for i, name in enumerate(self.modalities))
        problems = []
        missing = [f"_{index:04d} ({name})" for index, name in enumerate(self.modalities) if name not in files]
        if missing:
            fix = f"Expected: {order}. Or set dataset.modalities to those that all cases have."
            problems.append(Problem(where, f"modality {', '.join(missing)} is missing", fix))
        for name, paths in files.items():
            if name not in self.modalities:
                fix = f"Expected: {order}. Set dataset.modalities."
                problems.append(Problem(where, f"there is no modality for {paths[0].name}", fix))
            elif len(paths) > 1:
                both = ", ".join(path.name for path in paths)
                problems.append(Problem(where, f"more than one file for {name}: {both}", "Remove the copies."))
        return problems

    def _patient(self, case_id: str, problems: list[Problem]) -> str:
        if not self.options.patient:
            return case_id
        match = re.search(self.options.patient, case_id)
        if match and match[1]:
            return match[1]
        what = f"dataset.patient {self.options.patient!r} does not match its id"
        problems.append(Problem(f"case {case_id}", what, "Change it so that it matches every id."))
        return case_id


def _or_a_class(problem: UnknownValues) -> Problem:
    """Return a problem whose fix first suggests a new class, if the value is valid for one."""
    value = next((value for value in problem.values if value > 0), None)
    if value is None:
        return problem
    own = f"To make {value} a separate class, add to the recipe:\n    dataset:\n      classes: {{NAME: {value}}}"
    return replace(problem, fix=f"{own}\n    {problem.fix}")


def _no_images(held: Found) -> Problem:
    if held.other:
        return Problem(str(held.folder), f"there are no NIfTI images in it, but {held.formats()}", CONVERT)
    return Problem(str(held.folder), "there are no images in it", TREE)


def _labels_of_other_formats(held: Found) -> list[Problem]:
    if not held.other:
        return []
    return [Problem(str(held.folder), f"there are labels in unsupported formats: {held.formats()}", CONVERT)]


def _unpaired(
    images: Mapping[str, object],
    labels: Mapping[str, Sequence[Path]],
    named: Collection[str],
    places: tuple[Path, Path],
) -> list[Problem]:
    """Return problems for unpaired images and labels. A case in ``named`` without an image is already reported.

    ``places`` are the folders of labels and of unlabeled images.
    """
    fix = f"A label must have its image's case id. Move images without a label to {places[1]}."
    problems = [
        Problem(f"case {case_id}", f"it has no label {places[0] / case_id}.nii.gz", fix)
        for case_id in images
        if case_id not in labels
    ]
    for case_id, paths in labels.items():
        if case_id not in images and case_id not in named:
            problems += [Problem(str(path), "it has no image", fix) for path in paths]
        elif len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            problems.append(Problem(f"case {case_id}", f"more than one label: {names}", "Keep the right one."))
    return problems
