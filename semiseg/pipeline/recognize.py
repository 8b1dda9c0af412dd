"""Which dataset can read a folder, and with which options."""

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.names import nifti_files, nifti_stem
from semiseg.io.volumes import label_values
from semiseg.wording import some

_BRATS = re.compile(r".+(_(t1|t1ce|t2|flair)|-(t1n|t1c|t2w|t2f))")
_CHANNEL = re.compile(r".+_(\d{4})")
_LABELS_READ = 10
_H5 = "mri_norm2.h5"
LAYOUTS = """Understood are
      labeled/images, labeled/labels and, if there are any, unlabeled/images: NIfTI files of your own
      dataset.json with imagesTr and labelsTr: the Medical Segmentation Decathlon
      CASE_{t1,t1ce,t2,flair,seg}.nii.gz or CASE-{t1n,t1c,t2w,t2f,seg}.nii.gz: BraTS
      ID/mri_norm2.h5: left atria (LA 2018)"""


def recognize(folder: Path) -> dict[str, Any]:
    """The dataset block of a recipe for a folder: name, absolute root, and options read from the files.

    Raises DataError where the folder is missing or empty, or holds what no built-in dataset reads, or several datasets.
    """
    if not folder.is_dir():
        raise DataError(Problem(str(folder), "there is no such folder", "Give the folder of your data."))
    root = str(folder.absolute())
    if (folder / "labeled" / "images").is_dir():
        return {"name": "folder", "root": root, **_folder_options(folder)}
    if (folder / "dataset.json").is_file():
        return {"name": "decathlon", "root": root, **_decathlon_options(folder)}
    if (folder / "imagesTr").is_dir() and (folder / "labelsTr").is_dir():
        raise _nnunet(folder, "imagesTr and labelsTr without a dataset.json")
    found: dict[str, dict[str, None]] = {}
    for name, place in _layouts_below(folder):
        found.setdefault(name, {})[place] = None
    if len(found) == 1 and (name := next(iter(found))) in _SPREAD:
        return {"name": name, "root": root}
    if found:
        raise _several(folder, found)
    files = nifti_files(folder, recursive=True)
    if not files:
        raise DataError(Problem(str(folder), "there are no images in it", LAYOUTS))
    examples = some([str(path.relative_to(folder)) for path in files], 3)
    raise DataError(Problem(str(folder), f"its layout is not understood; it holds {examples}", LAYOUTS))


_SPREAD = ("brats", "la2018")
"""Datasets whose cases may lie at any depth below their root."""


def _layouts_below(folder: Path) -> Iterator[tuple[str, str]]:
    """Datasets in a folder by the names of files: each one's name, and a subfolder to read it from.

    That is the folder of a dataset with a fixed tree, and of the others the one at the top: their cases may be spread.
    """
    for place, subfolders, names in os.walk(folder):
        subfolders.sort()
        here = Path(place)
        below = here.relative_to(folder)
        fixed = "decathlon" if "dataset.json" in names and "imagesTr" in subfolders else None
        if "labeled" in subfolders and (here / "labeled" / "images").is_dir():
            fixed = "folder"
        if fixed:
            subfolders.clear()
            yield fixed, str(below)
            continue
        top = below.parts[0] if below.parts else "."
        if _H5 in names:
            yield "la2018", top
        if any(_BRATS.fullmatch(nifti_stem(Path(name))) and (here / name).is_file() for name in names):
            yield "brats", top


def _several(folder: Path, found: Mapping[str, Mapping[str, None]]) -> DataError:
    lines = [f"\n      {name}: {some(list(places), 4)}" for name, places in found.items()]
    below = [place for places in found.values() for place in places if place != "."]
    fix = "Put each dataset into a folder of its own."
    if below:
        fix = f"Give the folder of one, for instance: semiseg init {shlex.quote(str(folder / below[0]))}"
    count = "a dataset" if [*map(len, found.values())] == [1] else "several datasets"
    return DataError(Problem(str(folder), f"it is no dataset, but holds {count}:{''.join(lines)}", fix))


def _decathlon_options(folder: Path) -> dict[str, Any]:
    """Test images are unlabeled cases, but for those that have labels to be tested by."""
    path = folder / "dataset.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(Problem(str(path), f"it cannot be read as JSON: {error}", "Mend the file.")) from error
    if not isinstance(manifest, Mapping):
        return {}  # told where it is read
    if "training" not in manifest and "channel_names" in manifest:
        raise _nnunet(folder, "a dataset of nnU-Net v2, whose dataset.json lists no cases")
    has_labels = nifti_files(folder / "labelsTs") or _has_labels(manifest.get("test"))
    return {"test_images": "unlabeled"} if nifti_files(folder / "imagesTs") and not has_labels else {}


def _has_labels(items: Any) -> bool:
    return isinstance(items, list) and any(isinstance(item, Mapping) and item.get("label") for item in items)


def _nnunet(folder: Path, what: str) -> DataError:
    """nnU-Net's files are named as the folder dataset wants them; only the folders are not."""
    links = "\n".join(
        f"      ln -s {folder.absolute() / source} mydata/{target}"
        for source, target in (
            ("imagesTr", "labeled/images"),
            ("labelsTr", "labeled/labels"),
            ("imagesTs", "unlabeled/images"),
        )
        if source != "imagesTs" or (folder / source).is_dir()
    )
    places = "mydata/labeled mydata/unlabeled"
    fix = f"Its files can be used where they are, through links:\n      mkdir -p {places}\n{links}"
    return DataError(Problem(str(folder), f"this is {what}", f"{fix}\n      semiseg init mydata"))


def _folder_options(folder: Path) -> dict[str, Any]:
    images = [nifti_stem(path) for path in nifti_files(folder / "labeled" / "images")]
    numbers = {match[1] for stem in images if (match := _CHANNEL.fullmatch(stem))}
    numbered = "0001" in numbers and all(_CHANNEL.fullmatch(stem) for stem in images)
    modalities = {"modalities": [f"modality_{int(number)}" for number in sorted(numbers)]} if numbered else {}
    return {"classes": _classes(folder / "labeled" / "labels"), **modalities}


def _classes(labels: Path) -> dict[str, int]:
    """Names made up for the values in some label files, taken evenly.

    Raises DataError where there are none, and with all that can be no class in any of the files.
    """
    files = nifti_files(labels)
    if not files:
        raise DataError(Problem(str(labels), "there are no labels in it", LAYOUTS))
    values: set[int] = set()
    problems: list[Problem] = []
    for path in files[:: -(-len(files) // _LABELS_READ)]:
        try:
            values |= label_values(path)
        except DataError as error:
            problems += error.problems
    raise_all(problems, DataError)
    values.discard(0)
    if not values:
        raise DataError(Problem(str(labels), "its labels are 0 everywhere", "A class has a value of 1 or more."))
    return {f"class_{value}": value for value in sorted(values)}
