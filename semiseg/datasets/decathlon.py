"""Datasets of the Medical Segmentation Decathlon, and any other with such a dataset.json."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from semiseg.datasets._images_ts import ImagesTs, are_images, find_images_ts
from semiseg.datasets._nifti import (
    NiftiDataset,
    NiftiOptions,
    cases_to_predict,
    checked_cases,
    distinct_values,
    existing_root,
    merged_label_map,
    named_by_files,
    nifti_files_in,
    no_modality_twice,
    one_case,
    only_folder,
)
from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.dataset_json import channels, classes, has_cases, ignored, images_of, read_dataset_json
from semiseg.io.finding import find
from semiseg.io.names import nifti_stem, volume_stem
from semiseg.messages import counted, some
from semiseg.types import Case, DatasetInfo

_NAMED = 10


class Decathlon(NiftiDataset):
    """A folder with a ``dataset.json`` of the Medical Segmentation Decathlon.

    It reads ``modality`` (or ``channel_names``), ``labels`` (``{"1": "liver"}`` or ``{"liver": 1}``), ``training``
    (pairs of ``image`` and ``label``) and, if present, ``unlabeled``: a list of more images, which the Decathlon itself
    does not have. Its test images have no labels: with ``test_images: unlabeled``, those listed in ``test`` and those
    in ``imagesTs`` are unlabeled cases. An image is one file, with several modalities along the last axis, or ``image``
    is a list with a file for each modality. Lists for MONAI may name neither modalities nor classes: set the options
    ``modalities`` and ``classes`` then. As in nnU-Net, the label named ``ignore`` is that of ignored voxels.

    Source: Antonelli et al., Nature Communications 13 (2022) 4128, arXiv:2106.05735.
    """

    class Options(NiftiOptions):
        """Options of the Decathlon reader."""

        root: Path
        """Folder that contains dataset.json."""
        test_images: Literal["exclude", "unlabeled"] = "exclude"
        """Use of test images, listed in dataset.json or in imagesTs: excluded, or taken as unlabeled cases."""

        modalities: tuple[str, ...] = ()
        """Names of the modalities, in order, if dataset.json has none or to override them."""
        classes: dict[str, int] = Field(default_factory=dict)
        """Stored value of each class, such as `{liver: 1, tumor: 2}`, if dataset.json has none or to override them."""

        newer = NiftiOptions.newer | {"test_images", "modalities", "classes"}

        _distinct_values = field_validator("classes")(distinct_values)
        _no_duplicates = field_validator("modalities")(no_modality_twice)

    @cached_property
    def _manifest(self) -> Mapping[str, Any]:
        path = existing_root(self.options.root) / "dataset.json"
        manifest = read_dataset_json(path)
        if isinstance(manifest, dict):
            manifest |= self._named_by_options()
        problems = [Problem(str(path), *problem) for problem in _manifest_problems(manifest, self._takes_test_images)]
        raise_all(problems, DataError)
        return dict(manifest)

    def _named_by_options(self) -> dict[str, Any]:
        """Return modalities and classes of the options in the format of dataset.json."""
        options, named = self.options, dict[str, Any]()
        if options.modalities:
            named["modality"] = {str(number): name for number, name in enumerate(options.modalities)}
        if options.classes:
            named["labels"] = {"background": 0, **options.classes}
        return named

    def info(self) -> DatasetInfo:
        """Return modalities, classes and label values, from dataset.json."""
        manifest = self._manifest
        names = classes(manifest) or {}
        values = sorted(names)
        ordered = tuple(names[value] for value in values)
        usual = {value: index for index, value in enumerate(values)}
        return DatasetInfo(
            name=str(manifest.get("name", "decathlon")),
            modalities=channels(manifest) or (),
            classes=ordered,
            label_map=merged_label_map(usual, self.options.label_map, ordered),
            class_values=tuple(values),
            ignore=self._ignore(),
        )

    def _ignore(self) -> int | None:
        """Return the value of ignored voxels, from the options or dataset.json. Raises DataError if they differ."""
        own, listed = self.options.ignore, ignored(self._manifest)
        if own is not None and listed not in {None, own}:
            what = f"{own} is to be ignored, but in dataset.json the label ignore has the value {listed}"
            raise DataError(Problem("dataset.ignore", what, "Ignore one value, and map the other to a class."))
        return listed if own is None else own

    def cases(self) -> tuple[Case, ...]:
        """Return the training and the unlabeled cases, ordered by id. Raises DataError with all missing files."""
        listed = self._listed()
        paths = [path for images, label in listed for path in (*images, label) if path is not None]
        missing = [path for path in paths if not path.is_file()]
        problems: list[Problem] = []
        fix = "Unpack the data again, or fix the list."
        if self._takes_test_images:
            test = self._images_ts()
            listed += [((path,), None) for path in test.found]
            missing += test.missing
            problems += test.problems
            fix += " Or set dataset.test_images=exclude to leave the test images out." if test.missing else ""
        if missing:
            files = "1 listed file does" if len(missing) == 1 else f"{len(missing)} listed files do"
            what = f"{files} not exist:\n      " + "\n      ".join(map(str, missing[:_NAMED]))
            if len(missing) > _NAMED:
                what += f"\n      … and {len(missing) - _NAMED} others"
                fix += " For a part of the data, the list must name only that part's files."
            if numbered := [path for path in missing if _numbered(path).is_file()]:
                what += f"\n    But {_numbered(numbered[0]).name} exists, named as in nnU-Net"
                fix = f"Use the folder dataset instead: semiseg init {self.options.root} writes its recipe."
            problems.append(Problem(str(self.options.root / "dataset.json"), what, fix))
        return checked_cases(named_by_files(listed), problems)

    def notes(self) -> tuple[str, ...]:
        """Return remarks on the test images, used or not, and on files that are listed or present but not read."""
        manifest = self._manifest
        notes = [*self._images_ts().notes(taken=self._takes_test_images)]
        if isinstance(more := manifest.get("validation"), list) and more:
            notes.append(f'dataset.json lists {counted(len(more), "case")} under "validation", which are not read')
        hidden = [path.name for images, _ in self._listed(hidden=True) for path in images]
        if hidden:
            notes.append(f"dataset.json lists {counted(len(hidden), 'hidden file')}, skipped: {some(hidden, 4)}")
        images = {path for images, _ in self._listed() for path in images}
        listed = images | {label for _, label in self._listed() if label is not None}
        for folder in sorted({path.parent for path in images} - {self.options.root / "imagesTs"}):
            unlisted = [path.name for path in find(folder, volume_stem).files if path not in listed]
            if unlisted:
                are = f"{counted(len(unlisted), 'image')} {'is' if len(unlisted) == 1 else 'are'}"
                notes.append(f"{folder}: {are} not listed in dataset.json and not read: {some(unlisted, 4)}")
        return tuple(notes)

    @property
    def _takes_test_images(self) -> bool:
        return bool(self.options.test_images == "unlabeled")

    def _listed(self, *, hidden: bool = False) -> list[tuple[tuple[Path, ...], Path | None]]:
        """Return images and label of the training cases and the cases listed as unlabeled, or of the hidden ones."""
        root, manifest = self.options.root, self._manifest
        items = [*manifest["training"], *manifest.get("unlabeled", ())]
        files = [tuple(root / name for name in images_of(item)) for item in items]
        labels = [root / item["label"] for item in manifest["training"]]
        pairs = zip(files, [*labels, *[None] * (len(items) - len(labels))], strict=True)
        return [pair for pair in pairs if pair[0][0].name.startswith(".") == hidden]

    def _images_ts(self) -> ImagesTs:
        return find_images_ts(
            self.options.root, self._manifest, [path for images, _ in self._listed() for path in images]
        )

    def new_cases(self, paths: Sequence[Path]) -> tuple[Case, ...]:
        """Return cases to predict: all images in a folder, or one case's image (or images in modality order)."""
        folder = only_folder(paths)
        if folder is None and len(paths) > 1:
            return (one_case(paths, self.modalities, lambda path: None),)
        files = paths if folder is None else nifti_files_in(folder)
        return cases_to_predict(named_by_files([((path,), None) for path in files]))


def _numbered(image: Path) -> Path:
    """Return the name that nnU-Net would give a case's first modality."""
    return image.with_name(f"{nifti_stem(image)}_0000.nii.gz")


def _manifest_problems(manifest: Any, takes_test_images: bool) -> list[tuple[str, str]]:
    """Return the problems in the used parts of a dataset.json, and how to fix them."""
    if not isinstance(manifest, dict):
        return [("it is not a JSON object", 'It must begin with {"name": …}.')]
    problems = []
    if channels(manifest) is None:
        fix = 'Write, for example, "modality": {"0": "MRI"}, or set dataset.modalities=[MRI] in the recipe.'
        problems.append(('"modality" is missing or invalid', fix))
    if classes(manifest) is None:
        fix = 'Write, for example, "labels": {"0": "background", "1": "liver"}; each class has one value and one name.'
        fix += " Or set dataset.classes={liver: 1} in the recipe."
        problems.append(('"labels" is missing or invalid', fix))
    if manifest.get("training") == []:
        problems.append(('"training" is an empty list', "List the cases that have a label."))
    elif not has_cases(manifest.get("training"), label=True):
        fix = (
            'Write "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}, …]; with one file'
            ' per modality, "image" is a list of them.'
        )
        problems.append(('"training" is missing, or an item lacks "image" or "label", or they are not paths', fix))
    if not has_cases(manifest.get("unlabeled", [])):
        problems.append(('"unlabeled" is not a list of images', 'Write "unlabeled": ["./imagesUn/b.nii.gz", …].'))
    if takes_test_images and not are_images(manifest.get("test", [])):
        fix = 'Write "test": ["./imagesTs/c.nii.gz", …], or set dataset.test_images to exclude.'
        problems.append(('"test" is not a list of images', fix))
    return problems
