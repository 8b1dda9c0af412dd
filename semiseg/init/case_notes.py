"""What a proposal says of its cases: patients with several scans, test images, labels for every case."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from semiseg.init.sections import BASELINE
from semiseg.interfaces.component import ComponentOptions
from semiseg.io.finding import find
from semiseg.io.names import image_stem
from semiseg.registry import load

_SUBJECT = "^(sub-[A-Za-z0-9]+)"
_SESSION = "^(.+?)_ses-"


def patient_pattern(ids: Sequence[str]) -> str:
    """Return a pattern for the patient in BIDS names such as ``sub-01_ses-02_T1w``.

    Empty unless it matches every id, and some patient has several.
    """
    for pattern in (_SUBJECT, _SESSION):
        patients = [match[1] for case_id in ids if (match := re.search(pattern, case_id))]
        if len(patients) == len(ids) and len({*patients}) < len({*ids}):
            return pattern
    return ""


def patient_notes(dataset: str, ids: Sequence[str], pattern: str) -> list[str]:
    """Return a note on scans of one patient: kept together by a pattern, or that they are not."""
    has_option = takes_pattern(dataset)
    if pattern and has_option:
        return [f"ids name patients with several scans, which stay on one side of the split (patient: {pattern})"]
    sessions = [case_id for case_id in ids if "_ses-" in case_id]
    if not pattern and not sessions:
        return []
    key = "set dataset.patient" if has_option else "the dataset folder has the option patient"
    example = (sessions or list(ids))[0]
    return [f"each case is taken for a patient of its own, though {example} may be one scan of several; {key}"]


def takes_pattern(dataset: str) -> bool:
    """Return whether a dataset has the option ``patient``."""
    options: type[ComponentOptions] = load("dataset", dataset).Options  # type: ignore[attr-defined]
    return "patient" in options.model_fields


def test_images_note(block: Mapping[str, Any]) -> list[str]:
    """Return a note if images meant for a test are unlabeled cases for training."""
    as_folder = block.get("unlabeled") == "imagesTs"
    if not (as_folder or block.get("test_images") == "unlabeled"):
        return []
    if not find(Path(block["root"]) / "imagesTs", image_stem).files:
        return []
    mend = 'set dataset.unlabeled: ""' if as_folder else "remove dataset.test_images"
    return [
        "imagesTs has no labels here and is taken for training; if predictions of these images will be evaluated,"
        f" {mend} first"
    ]


def labels_note(labeled: int, split: Mapping[str, Any]) -> str:
    """Return what is done with the cases if each of the ``labeled`` ones has a label."""
    rest = labeled - split["test"] - split["validation"]
    if split["labeled"] == rest:
        return (
            "every case has a label, and none is left to serve as unlabeled: fixmatch then trains on labels alone; for"
            f" supervised training, add {BASELINE}"
        )
    return (
        f"every case has a label: training uses {split['labeled']}, and {rest - split['labeled']} others serve as"
        f" unlabeled; to train on all labels: semiseg run RECIPE --set split.labeled=all {BASELINE}"
    )
