"""Raw datasets of nnU-Net v2, as they lie in nnUNet_raw."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os.path import expandvars
from pathlib import Path
from typing import Literal

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
    one_case,
    only_folder,
)
from semiseg.datasets._nnunet_folds import FILE, fold_notes, read_folds, validation_folds
from semiseg.datasets._nnunet_json import Manifest, read_manifest
from semiseg.datasets._nnunet_labels import order_notes
from semiseg.errors import DataError, Problem
from semiseg.io.finding import CONVERT, find
from semiseg.io.names import image_stem
from semiseg.messages import counted, some
from semiseg.types import Case, DatasetInfo

_NAMED = 4


@dataclass(frozen=True, slots=True)
class _Held:
    """Training images by case id, with their labels, as found; ``lone`` are labels without an image."""

    images: Mapping[str, tuple[Path, ...]]
    labels: Mapping[str, Path]
    lone: tuple[Path, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def labeled(self) -> list[str]:
        return [case_id for case_id in self.images if case_id in self.labels]


class NnUNet(NiftiDataset):
    """A raw dataset of nnU-Net v2: ``DatasetXXX_NAME`` with dataset.json, imagesTr and labelsTr.

    Channels, classes, regions and the ignored value are those of dataset.json. An image of imagesTr without a label is
    an unlabeled case; so are those of imagesUn, which ``semiseg export nnunet`` writes, and, with ``test_images:
    unlabeled``, those of imagesTs. Cases may also be listed under ``dataset`` in dataset.json. Labels that are lists of
    values are regions (``training.outputs: regions``); the classes are then the single values.

    The folds are those of splits_final.json, if there is one.

    Source: nnU-Net v2 (Isensee et al., Nature Methods 18 (2021) 203), documentation/dataset_format.md,
    region_based_training.md, ignore_label.md and manual_data_splits.md.
    """

    reads_pictures = True

    class Options(NiftiOptions):
        """Options of an nnU-Net dataset."""

        root: Path
        """Folder that contains dataset.json: nnUNet_raw/DatasetXXX_NAME."""
        test_images: Literal["exclude", "unlabeled"] = "exclude"
        """Use of the images in imagesTs: excluded, or taken as unlabeled cases."""
        unlabeled: str = "imagesUn"
        """Folder of unlabeled images, below root; it need not exist. Empty for none."""
        splits: Path | None = None
        """File of folds, if it is not splits_final.json in root: for example, that of nnUNet_preprocessed."""
        classes: dict[str, int] = Field(default_factory=dict)
        """Names of stored values, such as `{necrosis: 2}`, instead of those from dataset.json."""
        patient: str = ""
        """Regular expression with one group for the patient in a case id, such as `(.+)_scan\\d+`; default: the id."""

        @field_validator("classes")
        @classmethod
        def _distinct_values(cls, classes: dict[str, int]) -> dict[str, int]:
            return distinct_values(classes) if classes else classes

        _one_group = field_validator("patient")(one_group)

    @cached_property
    def _manifest(self) -> Manifest:
        return read_manifest(existing_root(self.options.root) / "dataset.json", self.options.classes)

    def info(self) -> DatasetInfo:
        """Return channels, classes, regions and label values, from dataset.json."""
        manifest = self._manifest
        values = tuple(manifest.names)
        classes = tuple(manifest.names.values())
        label_map = merged_label_map({v: i for i, v in enumerate(values)}, self.options.label_map, classes)
        regions = {name: tuple(manifest.names[v] for v in members) for name, members in manifest.regions.items()}
        return DatasetInfo("nnunet", manifest.channels, classes, label_map, values, regions, self._ignore())

    def _ignore(self) -> int | None:
        own, listed = self.options.ignore, self._manifest.ignore
        if own is not None and listed not in {None, own}:
            what = f"{own} is to be ignored, but in dataset.json the label ignore has the value {listed}"
            raise DataError(Problem("dataset.ignore", what, "Ignore one value, and map the other to a class."))
        return listed if own is None else own

    def cases(self) -> tuple[Case, ...]:
        """Return all cases, ordered by id. Raises DataError with every missing channel, and if no case has a label."""
        held, problems = self._training(), list[Problem]()
        if not held.problems and not held.labeled:
            raise DataError(self._no_labels())
        found = [(case_id, images, held.labels.get(case_id)) for case_id, images in held.images.items()]
        for place in self._unlabeled_places():
            found += [(case_id, images, None) for case_id, images in self._images(place, problems).items()]
        pattern = self.options.patient
        cases = [Case(i, images, label, patient_in(i, pattern, problems)) for i, images, label in found]
        return checked_cases(cases, [*held.problems, *problems])

    def _no_labels(self) -> Problem:
        other = find(Path(self.options.root) / "imagesTr", self._fits)
        what = f"there are no {self._manifest.ending} images with labels in imagesTr and labelsTr"
        if other.other and not other.files:
            return Problem(str(self.options.root), f"{what}, but {other.formats()}", CONVERT)
        fix = "An image is imagesTr/CASE_0000.nii.gz, its label labelsTr/CASE.nii.gz, with dataset.json's file_ending."
        return Problem(str(self.options.root), what, fix)

    def folds(self) -> tuple[tuple[str, ...], ...] | None:
        """Return the validation ids of each fold of splits_final.json; None without one. Raises DataError."""
        path = self._splits()
        return None if path is None else validation_folds(path, read_folds(path), self._training().labeled)

    def notes(self) -> tuple[str, ...]:
        """Return remarks on images with and without labels, names that are derived, and folds."""
        manifest, held = self._manifest, self._training()
        notes = [*held.notes, *self._training_notes(held)]
        test = self._images("imagesTs", [])
        if test and self._takes_test_images:
            said = "counted as unlabeled cases; set dataset.test_images=exclude to leave them out"
            notes.append(f"imagesTs: {_images(test)} {said}")
        elif test:
            said = "left out; set dataset.test_images=unlabeled to use them as unlabeled cases"
            notes.append(f"imagesTs: {_images(test)} {said}")
        elif self._takes_test_images:
            notes.append("dataset.test_images is unlabeled, but imagesTs has no images")
        if self.options.unlabeled and (unlabeled := self._images(self.options.unlabeled, [])):
            notes.append(f"{self.options.unlabeled}: {_images(unlabeled)} counted as unlabeled cases")
        if manifest.derived:
            named = ", ".join(f"{value} is {manifest.names[value]}" for value in manifest.derived)
            notes.append(f"dataset.json names regions, not single values: {named}; dataset.classes gives other names")
        if manifest.regions:
            notes += order_notes(manifest.order, manifest.regions, manifest.names)
        if manifest.reader:
            notes.append(f"dataset.json names the reader {manifest.reader}, but semiseg reads the files itself")
        return (*notes, *self._split_notes(held))

    def new_cases(self, paths: Sequence[Path]) -> tuple[Case, ...]:
        """Return cases to predict: all images in a folder, or one case's files in the order of the channels."""
        folder = only_folder(paths)
        files = paths if folder is None else nifti_files_in(folder, image_stem)
        naming = replace(FileNames.of(files, self.modalities), key=TO_PREDICT)
        if folder is None:
            if len(paths) > 1 and naming.together:  # a wrong number of gray pictures, or of RGB ones
                naming = replace(naming, numbered=True, together=False)
            return (one_case(paths, naming.parts, naming.parse, image_stem),)
        problems: list[Problem] = []
        found = naming.group(files, problems)
        pattern = self.options.patient
        cases = [Case(i, images, None, patient_in(i, pattern, [])) for i, images in found.items()]
        return cases_to_predict(cases, problems)

    @property
    def _takes_test_images(self) -> bool:
        return bool(self.options.test_images == "unlabeled")

    def _unlabeled_places(self) -> Iterator[str]:
        if self._takes_test_images:
            yield "imagesTs"
        if self.options.unlabeled:
            yield self.options.unlabeled

    def _splits(self) -> Path | None:
        own: Path | None = self.options.splits
        usual = Path(self.options.root) / FILE
        return own if own is not None else (usual if usual.exists() else None)

    def _fits(self, path: Path) -> bool:
        return bool(image_stem(path)) and path.name.lower().endswith(self._manifest.ending)

    def _images(self, place: str, problems: list[Problem]) -> Mapping[str, tuple[Path, ...]]:
        """Return the image files of each case in a folder; problems are appended to ``problems``."""
        held = find(Path(self.options.root) / place, self._fits)
        problems += held.problems
        naming = FileNames.of(held.files, self._manifest.channels)
        return replace(naming, numbered=True, key="channel_names in dataset.json").group(held.files, problems)

    def _training(self) -> _Held:
        """Return the training cases: those listed under ``dataset``, or the files of imagesTr and labelsTr."""
        if self._manifest.listed is not None:
            return self._listed(self._manifest.listed)
        root, problems = Path(self.options.root), list[Problem]()
        images = self._images("imagesTr", problems)
        held = find(root / "labelsTr", self._fits)
        labels = {image_stem(path): path for path in held.files}
        lone = tuple(path for case_id, path in labels.items() if case_id not in images)
        notes = [note for place in ("imagesTr", "labelsTr") for note in self._place_notes(place)]
        return _Held(images, labels, lone, (*problems, *held.problems), tuple(notes))

    def _listed(self, listed: Mapping[str, tuple[tuple[str, ...], str]]) -> _Held:
        files = {i: (tuple(map(self._path, names)), self._path(label)) for i, (names, label) in listed.items()}
        missing = [path for images, label in files.values() for path in (*images, label) if not path.is_file()]
        problems = [Problem(str(path), "listed in dataset.json, but not found", "Fix the path.") for path in missing]
        images = {case_id: pair[0] for case_id, pair in files.items()}
        labels = {case_id: pair[1] for case_id, pair in files.items()}
        return _Held(images, labels, (), tuple(problems), ())

    def _path(self, name: str) -> Path:
        return Path(self.options.root) / expandvars(name)

    def _place_notes(self, place: str) -> Iterator[str]:
        """Yield remarks on files of a folder that are not read."""
        folder, ending = Path(self.options.root) / place, self._manifest.ending
        held = find(folder, self._fits)
        others = [path.name for path in find(folder, image_stem).files if path not in held.files]
        if others:
            are = f"{counted(len(others), 'file')} {'is' if len(others) == 1 else 'are'}"
            why = f"without {ending}, the file_ending of dataset.json,"
            yield f"{place}: {are} {why} and not read: {some(others, _NAMED)}"
        yield from replace(held, other=tuple(path for path in held.other if path.name not in others)).notes()

    def _training_notes(self, held: _Held) -> Iterator[str]:
        count = self._manifest.count
        without = [case_id for case_id in held.images if case_id not in held.labels]
        if count is not None and count != len(held.images):
            yield f"numTraining in dataset.json is {count}, but there are {counted(len(held.images), 'training case')}"
        if without:
            what = f"imagesTr: {_images(without)} without a label in labelsTr and counted as unlabeled cases"
            yield f"{what}: {some(without, _NAMED)}"
        if held.lone:
            are = f"{counted(len(held.lone), 'label')} {'is' if len(held.lone) == 1 else 'are'}"
            names = some([path.name for path in held.lone], _NAMED)
            yield f"labelsTr: {are} without an image in imagesTr and not read: {names}"

    def _split_notes(self, held: _Held) -> Iterator[str]:
        path = self._splits()
        if path is None:
            return
        try:
            yield from fold_notes(path, read_folds(path), held.labeled)
        except DataError as error:
            yield "; ".join(f"{problem.where} cannot be used as folds: {problem.what}" for problem in error.problems)


def _images(found: Sequence[str] | Mapping[str, object]) -> str:
    return f"{counted(len(found), 'image')} {'is' if len(found) == 1 else 'are'}"
