"""Datasets of the Medical Segmentation Decathlon, and any other that is described by such a dataset.json."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from semiseg.datasets._images_ts import ImagesTs, are_images, find_images_ts, image_of
from semiseg.datasets._nifti import (
    NiftiDataset,
    NiftiOptions,
    checked_cases,
    existing_root,
    merged_label_map,
    nifti_files_in,
    one_case,
    only_folder,
)
from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.names import nifti_stem
from semiseg.types import Case, DatasetInfo


class Decathlon(NiftiDataset):
    """A folder with a ``dataset.json`` of the Medical Segmentation Decathlon.

    Read are ``modality`` (or ``channel_names``), ``labels`` (``{"1": "liver"}`` or ``{"liver": 1}``), ``training``
    (pairs of ``image`` and ``label``) and, if it is there, ``unlabeled``: a list of more images, which the Decathlon
    does not have. Its test images have no labels: with ``test_images: unlabeled`` those that ``test`` lists and those
    in ``imagesTs`` are unlabeled cases. An image is one file, with its modalities, where there are several, along the
    last axis.

    Source: Antonelli et al., Nature Communications 13 (2022) 4128, arXiv:2106.05735.
    """

    class Options(NiftiOptions):
        """Options of the Decathlon reader."""

        root: Path
        """Folder that holds dataset.json."""
        test_images: Literal["exclude", "unlabeled"] = "exclude"
        """Whether test images, listed in dataset.json or in imagesTs, are left out or taken as unlabeled cases."""

        @model_serializer(mode="wrap")
        def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
            """Without ``test_images`` where it is left out: recipes and runs that are older do not have the key."""
            written: dict[str, Any] = write(self)
            return {key: value for key, value in written.items() if (key, value) != ("test_images", "exclude")}

    @cached_property
    def _manifest(self) -> Mapping[str, Any]:
        path = existing_root(self.options.root) / "dataset.json"
        try:
            manifest = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError as error:
            raise DataError(Problem(str(path), "there is no such file", "Set dataset.root to its folder.")) from error
        except (OSError, ValueError) as error:
            raise DataError(Problem(str(path), f"it cannot be read as JSON: {error}", "Mend the file.")) from error
        problems = [Problem(str(path), *problem) for problem in _manifest_problems(manifest, self._takes_test_images)]
        raise_all(problems, DataError)
        return dict(manifest)

    def info(self) -> DatasetInfo:
        """Modalities, classes and label values, from dataset.json."""
        manifest = self._manifest
        names = _label_names(manifest["labels"])
        values = sorted(names)
        classes = tuple(names[value] for value in values)
        usual = {value: index for index, value in enumerate(values)}
        return DatasetInfo(
            name=str(manifest.get("name", "decathlon")),
            modalities=_modalities(manifest),
            classes=classes,
            label_map=merged_label_map(usual, self.options.label_map, classes),
            class_values=tuple(values),
        )

    def cases(self) -> tuple[Case, ...]:
        """The training cases and the unlabeled ones, ordered by id. Raises DataError that lists all missing files."""
        cases = self._listed()
        paths = [path for case in cases for path in (*case.images, case.label) if path is not None]
        missing = [str(path) for path in paths if not path.is_file()]
        fix = "Unpack the data again, or mend the list."
        if self._takes_test_images:
            test = self._images_ts()
            cases += [_case(path) for path in test.found]
            missing += map(str, test.missing)
            fix += " dataset.test_images: exclude leaves the test images out." if test.missing else ""
        problems = []
        if missing:
            files = "1 file that it lists does" if len(missing) == 1 else f"{len(missing)} files that it lists do"
            what = f"{files} not exist:\n      " + "\n      ".join(missing)
            problems.append(Problem(str(self.options.root / "dataset.json"), what, fix))
        return checked_cases(cases, problems)

    def notes(self) -> tuple[str, ...]:
        """How many test images there are, and whether they are taken."""
        return tuple(self._images_ts().notes(taken=self._takes_test_images))

    @property
    def _takes_test_images(self) -> bool:
        return bool(self.options.test_images == "unlabeled")

    def _listed(self) -> list[Case]:
        """The training cases and those that are listed as unlabeled."""
        root, manifest = self.options.root, self._manifest
        cases = [_case(root / item["image"], root / item["label"]) for item in manifest["training"]]
        return cases + [_case(root / image_of(item)) for item in manifest.get("unlabeled", ())]

    def _images_ts(self) -> ImagesTs:
        others = [path for case in self._listed() for path in case.images]
        return find_images_ts(self.options.root, self._manifest, others)

    def new_cases(self, paths: Sequence[Path]) -> tuple[Case, ...]:
        """Cases to predict: all images in a folder, or one case's image (or its images in modality order)."""
        folder = only_folder(paths)
        if folder is None and len(paths) > 1:
            return (one_case(paths, self.modalities, lambda path: None),)
        return checked_cases(_case(path) for path in ([*paths] if folder is None else nifti_files_in(folder)))


def _case(image: Path, label: Path | None = None) -> Case:
    return Case(nifti_stem(image) or image.name, (image,), label)


def _modalities(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    named = manifest.get("modality") or manifest["channel_names"]
    return tuple(str(named[key]) for key in sorted(named, key=int))


def _label_names(labels: Mapping[str, Any]) -> dict[int, str]:
    """Class names by stored value, from either direction; background is there where it was left out."""
    if all(isinstance(value, int) for value in labels.values()):
        found = {int(value): name for name, value in labels.items()}
    else:
        found = {int(value): str(name) for value, name in labels.items()}
    return {0: "background"} | found


def _manifest_problems(manifest: Any, takes_test_images: bool) -> list[tuple[str, str]]:
    """What is wrong with what is read of a dataset.json, and how to mend it."""
    if not isinstance(manifest, dict):
        return [("it is no JSON object", 'It has to begin with {"name": …}.')]
    problems = []
    channels = manifest.get("modality") or manifest.get("channel_names")
    if not isinstance(channels, dict) or not channels or not all(str(key).isdecimal() for key in channels):
        problems.append(('"modality" is missing or not understood', 'Write for instance "modality": {"0": "MRI"}.'))
    if not _labels_understood(manifest.get("labels")):
        fix = 'Write for instance "labels": {"0": "background", "1": "liver"}; each class has one value and one name.'
        problems.append(('"labels" is missing or not understood', fix))
    training = manifest.get("training")
    if not isinstance(training, list) or not all(_has_text(item, "image", "label") for item in training):
        fix = 'Write "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}, …].'
        problems.append(('"training" is missing, or an item lacks "image" or "label"', fix))
    if not are_images(manifest.get("unlabeled", [])):
        problems.append(('"unlabeled" is no list of images', 'Write "unlabeled": ["./imagesUn/b.nii.gz", …].'))
    if takes_test_images and not are_images(manifest.get("test", [])):
        fix = 'Write "test": ["./imagesTs/c.nii.gz", …], or set dataset.test_images to exclude.'
        problems.append(('"test" is no list of images', fix))
    return problems


def _has_text(item: Any, *keys: str) -> bool:
    return isinstance(item, dict) and all(isinstance(item.get(key), str) for key in keys)


def _labels_understood(labels: Any) -> bool:
    """Whether values and names belong to each other one to one, and some of them to foreground."""
    if not isinstance(labels, dict):
        return False
    by_name = all(isinstance(value, int) and value >= 0 for value in labels.values())
    if not by_name and not all(isinstance(name, str) and value.isdecimal() for value, name in labels.items()):
        return False
    values = [int(value) for value in (labels.values() if by_name else labels)]
    names = _label_names(labels)
    return len(set(values)) == len(values) and len(set(names.values())) == len(names) >= 2
