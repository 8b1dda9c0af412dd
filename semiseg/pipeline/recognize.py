"""Which dataset can read a folder, and with which options."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from semiseg.errors import DataError, Problem, raise_all
from semiseg.io.names import nifti_files, nifti_stem
from semiseg.io.nifti import read_nifti

_BRATS = re.compile(r".+(_(t1|t1ce|t2|flair)|-(t1n|t1c|t2w|t2f))")
_CHANNEL = re.compile(r".+_(\d{4})")
_LABELS_READ = 10
LAYOUTS = """Understood are
      labeled/images, labeled/labels and, if there are any, unlabeled/images: NIfTI files of your own
      dataset.json with imagesTr and labelsTr: the Medical Segmentation Decathlon
      CASE_{t1,t1ce,t2,flair,seg}.nii.gz or CASE-{t1n,t1c,t2w,t2f,seg}.nii.gz: BraTS
      ID/mri_norm2.h5: left atria (LA 2018)"""


def recognize(folder: Path) -> dict[str, Any]:
    """The dataset block of a recipe for a folder: name, absolute root, and options read from the files.

    Raises DataError where the folder is missing or empty, or holds what no built-in dataset reads.
    """
    if not folder.is_dir():
        raise DataError(Problem(str(folder), "there is no such folder", "Give the folder of your data."))
    root = str(folder.absolute())
    if (folder / "labeled" / "images").is_dir():
        return {"name": "folder", "root": root, **_folder_options(folder)}
    if (folder / "dataset.json").is_file():
        return {"name": _manifest_reader(folder), "root": root}
    if (folder / "imagesTr").is_dir() and (folder / "labelsTr").is_dir():
        raise _nnunet(folder, "imagesTr and labelsTr without a dataset.json")
    if next(folder.rglob("mri_norm2.h5"), None):
        return {"name": "la2018", "root": root}
    files = nifti_files(folder, recursive=True)
    if any(_BRATS.fullmatch(nifti_stem(path)) for path in files):
        return {"name": "brats", "root": root}
    if not files:
        raise DataError(Problem(str(folder), "there are no images in it", LAYOUTS))
    raise DataError(Problem(str(folder), f"its layout is not understood; it holds {_examples(folder, files)}", LAYOUTS))


def _examples(folder: Path, files: list[Path]) -> str:
    return ", ".join(str(path.relative_to(folder)) for path in files[:3]) + (", …" if len(files) > 3 else "")


def _manifest_reader(folder: Path) -> str:
    path = folder / "dataset.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(Problem(str(path), f"it cannot be read as JSON: {error}", "Mend the file.")) from error
    if isinstance(manifest, Mapping) and "training" not in manifest and "channel_names" in manifest:
        raise _nnunet(folder, "a dataset of nnU-Net v2, whose dataset.json lists no cases")
    return "decathlon"


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
    """Names made up for the values in some label files, taken evenly. Raises DataError where there are none."""
    files = nifti_files(labels)
    if not files:
        raise DataError(Problem(str(labels), "there are no labels in it", LAYOUTS))
    values: set[int] = set()
    problems: list[Problem] = []
    for path in files[:: -(-len(files) // _LABELS_READ)]:
        try:
            values |= {int(value) for value in np.unique(read_nifti(path)[0])}
        except DataError as error:
            problems += error.problems
    raise_all(problems, DataError)
    values.discard(0)
    if not values:
        raise DataError(Problem(str(labels), "its labels are 0 everywhere", "A class has a value of 1 or more."))
    return {f"class_{value}": value for value in sorted(values)}
