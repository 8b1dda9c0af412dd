"""Datasets of the Medical Segmentation Decathlon, and any other that is described by such a dataset.json."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

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
    does not have. ``test`` is not read: its cases have no labels. An image is one file, with its modalities, where
    there are several, along the last axis.

    Source: Antonelli et al., Nature Communications 13 (2022) 4128, arXiv:2106.05735.
    """

    class Options(NiftiOptions):
        """Options of the Decathlon reader."""

        root: Path
        """Folder that holds dataset.json."""

    @cached_property
    def _manifest(self) -> Mapping[str, Any]:
        path = existing_root(self.options.root) / "dataset.json"
        try:
            manifest = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError as error:
            raise DataError(Problem(str(path), "there is no such file", "Set dataset.root to its folder.")) from error
        except (OSError, ValueError) as error:
            raise DataError(Problem(str(path), f"it cannot be read as JSON: {error}", "Mend the file.")) from error
        problems = [Problem(str(path), *problem) for problem in _manifest_problems(manifest)]
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
        root, manifest = self.options.root, self._manifest
        cases = [_case(root / item["image"], root / item["label"]) for item in manifest["training"]]
        cases += [_case(root / _unlabeled_image(item)) for item in manifest.get("unlabeled", ())]
        paths = [path for case in cases for path in (*case.images, case.label) if path is not None]
        missing = [str(path) for path in paths if not path.is_file()]
        problems = []
        if missing:
            what = f"{len(missing)} files that it lists do not exist:\n      " + "\n      ".join(missing)
            problems.append(Problem(str(root / "dataset.json"), what, "Unpack the data again, or mend the list."))
        return checked_cases(cases, problems)

    def new_cases(self, paths: Sequence[Path]) -> tuple[Case, ...]:
        """Cases to predict: all images in a folder, or one case's image (or its images in modality order)."""
        folder = only_folder(paths)
        if folder is None and len(paths) > 1:
            return (one_case(paths, self.modalities, lambda path: None),)
        cases = checked_cases(_case(path) for path in ([*paths] if folder is None else nifti_files_in(folder)))
        problems: list[Problem] = []
        for case in cases:
            try:
                self.read_geometry(case)
            except DataError as error:
                problems += error.problems
        raise_all(problems, DataError)
        return cases


def _case(image: Path, label: Path | None = None) -> Case:
    return Case(nifti_stem(image) or image.name, (image,), label)


def _unlabeled_image(item: str | Mapping[str, str]) -> str:
    return item if isinstance(item, str) else item["image"]


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


def _manifest_problems(manifest: Any) -> list[tuple[str, str]]:
    """What is wrong with the content of a dataset.json, and how to mend it."""
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
    unlabeled = manifest.get("unlabeled", [])
    if not isinstance(unlabeled, list) or not all(isinstance(i, str) or _has_text(i, "image") for i in unlabeled):
        problems.append(('"unlabeled" is no list of images', 'Write "unlabeled": ["./imagesUn/b.nii.gz", …].'))
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
