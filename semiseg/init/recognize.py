"""Recognition of the dataset that can read a folder, and its options."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.errors import DataError, Problem, raise_all
from semiseg.init.made_names import class_names, modality_names
from semiseg.init.two_folders import TwoFolders, ambiguous, two_folders
from semiseg.io.dataset_json import channels, classes, has_cases, ignored, images_of, read_dataset_json
from semiseg.io.finding import CONVERT, Walk, find, is_file, is_folder
from semiseg.io.formats.pairs import find_pairs, labels_by_case
from semiseg.io.formats.series import with_series
from semiseg.io.names import PICTURES, VOLUMES, image_stem, is_picture, nifti_stem, volume_stem
from semiseg.messages import some

_BRATS = re.compile(r".+(_(t1|t1ce|t2|flair)|-(t1n|t1c|t2w|t2f))", re.IGNORECASE | re.DOTALL)
_CHANNEL_OF = re.compile(r"(.+)_\d{4}", re.DOTALL)
_CHANNEL = re.compile(r".+_(\d{4})", re.DOTALL)
_NUMBERED = re.compile(r"(.+)_0\d{3}", re.DOTALL)
_H5 = "mri_norm2.h5"
LAYOUTS = """Supported layouts:
      labeled/images, labeled/labels and optionally unlabeled/images: volumes, DICOM folders or pictures of your own
      images and labels (or scans, masks and the like), with labels for some of the images
      two folders of other names: semiseg init FOLDER --images NAME --labels NAME
      CASE.nrrd with CASE-label.nrrd or CASE.seg.nrrd in one folder, or one folder per case: 3D Slicer
      dataset.json with imagesTr and labelsTr: the Medical Segmentation Decathlon
      DatasetXXX_NAME with dataset.json, imagesTr and labelsTr: nnU-Net
      CASE_{t1,t1ce,t2,flair,seg}.nii.gz or CASE-{t1n,t1c,t2w,t2f,seg}.nii.gz: BraTS
      ID/mri_norm2.h5: left atria (LA 2018)"""


def recognize(folder: Path, named: TwoFolders | None = None) -> dict[str, Any]:
    """Return the dataset block of a recipe for a folder: name, absolute root, and options read from the files.

    ``named`` are its folders of images and labels, if the user named them.

    Raises DataError if the folder is missing or empty, or contains several datasets or none that a built-in dataset
    reads.
    """
    if not folder.is_dir():
        raise DataError(Problem(str(folder), "there is no such folder", "Check the path."))
    root = str(folder.absolute())
    if not named and (labeled := _labeled(folder)):
        return {"name": "folder", "root": root, **_folder_options(labeled / "images", labeled / "labels")}
    if not named and is_file(folder / "dataset.json"):
        return {"root": root, **_by_dataset_json(folder)}
    if not named and is_folder(folder / "imagesTr") and is_folder(folder / "labelsTr"):
        tested = {"unlabeled": ""} if find(folder / "labelsTs", image_stem).files else {}
        options = _folder_options(folder / "imagesTr", folder / "labelsTr")
        return {"name": "folder", "root": root, **_NNUNET, **tested, **options}
    if two := named or two_folders(folder):
        return {"name": "folder", "root": root, **_of_two(folder, two)}
    found: dict[str, dict[str, None]] = {}
    for name, place in _layouts_below(folder):
        found.setdefault(name, {})[place] = None
    if len(found) == 1 and (name := next(iter(found))) in _SPREAD:
        return {"name": name, "root": root}
    if found:
        raise _several(folder, found)
    if paired := _pair_options(folder):
        return {"name": "folder", "root": root, **paired}
    raise _unknown(folder)


def _of_two(folder: Path, two: TwoFolders) -> dict[str, Any]:
    images, labels = folder / two.images, folder / two.labels
    if two.images != two.labels:
        return {**two.options(), **_folder_options(images, labels)}
    paired = _pair_options(images)
    if paired is None:
        fix = "A label beside its image is named like it, with a mark: CASE-label.nii.gz."
        raise DataError(Problem(str(images), "no label in it belongs to an image", fix))
    return {**paired, **two.options(), "unlabeled": two.unlabeled}


def _unknown(folder: Path) -> DataError:
    if several := ambiguous(folder):
        fix = "Name those that are meant: semiseg init FOLDER --images NAME --labels NAME"
        return DataError(Problem(str(folder), several, fix))
    held = find(folder, image_stem, recursive=True)
    problems = [*held.problems]
    if held.files:
        examples = some([str(path.relative_to(folder)) for path in held.files], 3)
        problems.append(Problem(str(folder), f"unknown layout; it contains {examples}", LAYOUTS))
    elif held.other:
        what = f"there are no images in it, but {held.formats()}"
        problems.append(Problem(str(folder), what, f"{CONVERT}\n    {LAYOUTS}"))
    elif not problems:
        problems.append(Problem(str(folder), "there are no images in it", LAYOUTS))
    return DataError(problems)


_SPREAD = ("brats", "la2018")
"""Datasets whose cases may be at any depth below their root."""


def _layouts_below(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield datasets recognized by file names: each one's name, and the subfolder to read it from.

    For datasets with a fixed tree this is their own folder; for others the top-level one, as their cases may be spread.
    """
    for here, subfolders, files in Walk().through(folder):
        below = here.relative_to(folder)
        fixed = _name_by_json(here)
        if _labeled(here) or two_folders(here):
            fixed = "folder"
        if fixed:
            subfolders.clear()
            yield fixed, str(below)
            continue
        top = below.parts[0] if below.parts else "."
        if any(path.name.lower() == _H5 for path in files):
            yield "la2018", top
        volumes = [path for path in files if volume_stem(path)]
        if any(_BRATS.fullmatch(stem) for path in volumes for stem in map(volume_stem, (path, here))):
            yield "brats", top


def _several(folder: Path, found: Mapping[str, Mapping[str, None]]) -> DataError:
    lines = [f"\n      {name}: {some(list(places), 4)}" for name, places in found.items()]
    below = [place for places in found.values() for place in places if place != "."]
    fix = "Put each dataset into its own folder."
    if below:
        fix = f"Give the folder of one, for example: semiseg init {shlex.quote(str(folder / below[0]))}"
    count = "a dataset" if [*map(len, found.values())] == [1] else "several datasets"
    return DataError(Problem(str(folder), f"it is not a dataset, but contains {count}:{''.join(lines)}", fix))


def _labeled(folder: Path) -> Path | None:
    """Return the folder of labeled cases in the user's own layout, in either spelling."""
    return next((folder / name for name in ("labeled", "labelled") if is_folder(folder / name / "images")), None)


_NNUNET = {"images": "imagesTr", "labels": "labelsTr", "unlabeled": "imagesTs"}


def _name_by_json(folder: Path) -> str | None:
    """Return the dataset whose dataset.json and images are in a folder, ``decathlon`` or ``nnunet``, or None."""
    if not is_file(folder / "dataset.json") or not is_folder(folder / "imagesTr"):
        return None
    try:
        manifest = read_dataset_json(folder / "dataset.json")
    except DataError:
        return "decathlon"  # reported when it is read
    return "nnunet" if isinstance(manifest, Mapping) and _is_nnunet_2(folder, manifest) else "decathlon"


def _by_dataset_json(folder: Path) -> dict[str, Any]:
    """Return the dataset described by dataset.json, and its options: Decathlon or nnU-Net."""
    path = folder / "dataset.json"
    manifest = read_dataset_json(path)
    if not isinstance(manifest, Mapping):
        return {"name": "decathlon"}  # reported when it is read
    test_labels, test_images_there = find(folder / "labelsTs", image_stem), find(folder / "imagesTs", volume_stem)
    # Test images are classified by the presence of labels, so unreadable folders are errors.
    raise_all([*test_labels.problems, *test_images_there.problems], DataError)
    has_labels = bool(test_labels.files) or _has_labels(manifest.get("test"))
    if _is_nnunet_2(folder, manifest):
        return {
            "name": "nnunet",
            **({"test_images": "unlabeled"} if test_images_there.files and not has_labels else {}),
        }
    if _is_nnunet_1(folder, manifest):
        tested = {"unlabeled": ""} if has_labels else {}
        return {"name": "folder", **_NNUNET, **tested, **_nnunet_options(folder, manifest)}
    volumes = [path for path in test_images_there.files if nifti_stem(path)]
    test_images = {"test_images": "unlabeled"} if volumes and not has_labels else {}
    return {"name": "decathlon", **test_images, **_names_lacking(folder, manifest)}


def _names_lacking(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return names for modalities and classes missing from dataset.json, as in MONAI's lists."""
    listed, options = manifest.get("training"), dict[str, Any]()
    if not listed or not has_cases(listed, label=True):
        return options  # reported when it is read
    if not manifest.get("modality") and not manifest.get("channel_names"):
        options["modalities"] = modality_names([folder / name for name in images_of(listed[0])])
    labels = [folder / item["label"] for item in listed]
    there = [path for path in labels if is_file(path)]
    if "labels" not in manifest:
        if not there:
            what = f"none of the {len(labels)} labels that it lists exists, for example {labels[0]}"
            raise DataError(Problem(str(folder / "dataset.json"), what, "Its paths must be relative to its folder."))
        options["classes"] = class_names(there, folder / "dataset.json")
    return options


def _is_nnunet_2(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Return whether this is nnU-Net 2, which lists no cases, or lists them under another key."""
    keys = "channel_names" in manifest or "file_ending" in manifest
    return keys and (not manifest.get("training") or _is_nnunet_1(folder, manifest))


def _is_nnunet_1(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Return whether this is nnU-Net 1, which lists images without the channel numbers of their files."""
    listed = manifest.get("training")
    if not listed or not has_cases(listed):
        return False
    firsts = [folder / images_of(item)[0] for item in listed]
    there = {path for place in {first.parent for first in firsts} for path in find(place).files}
    numbered = {(path.parent, match[1]) for path in there if (match := _NUMBERED.fullmatch(nifti_stem(path)))}
    return any(first not in there and (first.parent, nifti_stem(first)) in numbered for first in firsts)


def _nnunet_options(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return names of classes and channels. Raises DataError for unsupported files or labels."""
    path, problems = folder / "dataset.json", list[Problem]()
    ending = f".{str(manifest.get('file_ending', '.nii.gz')).lstrip('.')}"
    held = find(folder / "imagesTr", image_stem)
    if ending.lower() not in {*VOLUMES, *PICTURES}:
        problems.append(Problem(str(path), f"its images are {ending} files, which are not supported", CONVERT))
    elif not held.files:
        there = f"there are no images in it{f', but {held.formats()}' if held.other else ''}"
        problems.append(Problem(str(held.folder), there, CONVERT if held.other else LAYOUTS))
    names, modalities = classes(manifest), channels(manifest)
    if names is None:
        what = '"labels" is not understood, or its labels are overlapping regions'
        fix = 'Write "labels": {"background": 0, "liver": 1}: a stored value for each class.'
        problems.append(Problem(str(path), what, fix))
    if modalities is None:
        fix = 'Write, for example, "channel_names": {"0": "CT"}.'
        problems.append(Problem(str(path), '"channel_names" is missing or not understood', fix))
    raise_all(problems, DataError)
    values = {name: value for value, name in sorted((names or {}).items()) if value}
    ignore = ignored(manifest)
    unknown = {} if ignore is None else {"ignore": ignore}
    return {"classes": values, **unknown, "modalities": list(modalities or ())}


def _has_labels(items: Any) -> bool:
    return isinstance(items, list) and any(isinstance(item, Mapping) and item.get("label") for item in items)


def _pair_options(folder: Path) -> dict[str, Any] | None:
    """Return options for images beside their labels, as 3D Slicer saves them; None if no label belongs to an image."""
    images, labels, case_folders = find_pairs(folder)
    if case_folders is None:
        stems = {image_stem(path) or path.name for path in images.files}
        ids = stems | {match[1] for stem in stems if (match := _CHANNEL_OF.fullmatch(stem))}
        belonging = not ids.isdisjoint(labels_by_case(labels.files, ids))
    else:
        problems = list[Problem]()
        ids = {*case_folders.group(images.files, problems)}
        belonging = not problems and not ids.isdisjoint(case_folders.labels(labels.files))
    if not belonging:
        return None
    return {"images": ".", "labels": ".", "unlabeled": "", **_options(images.files, labels.files, folder)}


def _folder_options(images: Path, labels: Path) -> dict[str, Any]:
    return _options(with_series(find(images, image_stem)).files, _label_files(labels), labels)


def _options(files: Sequence[Path], labels: Sequence[Path], where: Path) -> dict[str, Any]:
    """Return names of classes and modalities for image files and label files."""
    stems = [image_stem(path) or path.name for path in files]
    numbers = {match[1] for stem in stems if (match := _CHANNEL.fullmatch(stem))}
    numbered = "0001" in numbers and all(_CHANNEL.fullmatch(stem) for stem in stems)
    numbered = numbered and not _are_ids(stems, [image_stem(path) for path in labels])
    colors = modality_names(files[:1]) if files and is_picture(files[0]) else []
    if len(colors) > 1:
        return {"classes": class_names(labels, where), "modalities": colors}
    modalities = {"modalities": [f"modality_{int(number)}" for number in sorted(numbers)]} if numbered else {}
    return {"classes": class_names(labels, where), **modalities}


def _are_ids(stems: Sequence[str], labels: Sequence[str]) -> bool:
    """Return whether images named ``x_0000``, ``x_0001`` are cases of their own: labels have the names of some.

    Labels of several cases that all have the same number, ``CASE_0000``, are those of images with several modalities:
    as ids, the other modalities would be unlabeled cases that show the content of the labeled ones.
    """
    same = {*labels} & {*stems}
    return bool(same) and not (len(same) > 1 and len({label[-5:] for label in same}) == 1)


def _label_files(labels: Path) -> Sequence[Path]:
    """Return the label files of a folder. Raises DataError if there are none."""
    held = find(labels, image_stem)
    if not held.files:
        what = (
            "there are no labels in it"
            if not held.other
            else f"its labels are in unsupported formats: {held.formats()}"
        )
        raise DataError(held.problems or Problem(str(labels), what, CONVERT if held.other else LAYOUTS))
    return held.files
