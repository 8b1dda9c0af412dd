"""A first recipe for a folder of images: the content of the folder, and settings that run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from semiseg.data.split import make_split
from semiseg.errors import DataError, Problem
from semiseg.init.case_notes import labels_note, patient_notes, patient_pattern, takes_pattern, test_images_note
from semiseg.init.dataset_stats import Survey, survey
from semiseg.init.recognize import recognize
from semiseg.init.sections import (
    BASELINE,
    Section,
    augmentation_section,
    method_sections,
    preprocessing_section,
    size_ranges,
    task_outputs,
    training_section,
)
from semiseg.init.two_folders import TwoFolders
from semiseg.interfaces.dataset import Dataset
from semiseg.messages import some
from semiseg.pipeline.plan import make_plan
from semiseg.recipe.dump import to_yaml
from semiseg.recipe.load import load_recipe
from semiseg.recipe.schema import Split
from semiseg.recipe.yaml import parse_yaml
from semiseg.registry import create
from semiseg.types import Case, DatasetInfo, Shape

_NAMED = 3
_MARK_NAMES = ("ignore", "unlabeled", "unlabelled", "void")
_MARK_VALUES = (255, 65535)
_COARSE = 2.0
"""Ratio of the sides of a voxel from which patch and network are planned for it."""
_FAR = 10
"""Ratio to the next lower value above which a value may not be a class."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A recipe's text, and the findings in the folder, line by line."""

    text: str
    findings: tuple[str, ...]


def propose_recipe(folder: Path, *, gpu: bool, named: TwoFolders | None = None) -> Proposal:
    """Return a commented recipe for a folder, for a machine with or without a GPU.

    ``named`` are its folders of images and labels, if the user named them.

    The recipe has been loaded and planned on the data; unlike in ``check``, files are not read to their end. Raises
    SemisegError if the folder is not recognized, or the data are not enough for training, validation and test.
    """
    block, dataset, cases, found, notes = _read(recognize(folder, named))
    info = dataset.info()
    ids = [case.id for case in cases]
    # BraTS and ACDC know their patients.
    pattern = patient_pattern(ids) if all(case.patient == case.id for case in cases) else ""
    if pattern and takes_pattern(block["name"]):
        block, dataset, cases, found, notes = _read({**block, "patient": pattern})
    notes = (*notes, *patient_notes(block["name"], ids, pattern), *unlabeled_note(info), *test_images_note(block))
    split, split_comment = _split(folder, cases)
    labeled = sum(case.label is not None for case in cases)
    if labeled == len(cases):
        notes = (*notes, labels_note(labeled, split))
    is_flat = found.slice_axis is not None
    extent = found.in_plane(found.foreground)
    patch = plane_patch_size(extent, gpu) if is_flat else patch_size(found.foreground, gpu)
    is_coarse = not is_flat and found.spacing is not None and max(found.spacing) >= _COARSE * min(found.spacing)
    sections: list[Section] = [
        (_head(folder, gpu), {"name": _run_name(folder), "seed": 0}),
        (_dataset_comment(block, notes), {"dataset": block}),
        (split_comment + _folds_comment(dataset), {"split": split}),
        preprocessing_section(block, found, info.modalities),
        augmentation_section(block, info, found),
        *method_sections(patch, gpu, is_coarse),
        training_section(patch, gpu, is_coarse, len(info.classes) > 1, task_outputs(block, info)),
    ]
    text = "\n".join(_commented(comment) + to_yaml(keys) for comment, keys in sections)
    plan = make_plan(load_recipe(parse_yaml(text, "the proposed recipe")[0], expand=False))
    roles = ", ".join(
        f"{len(plan.split.cases(role))} {role}" for role in ("labeled", "unlabeled", "validation", "test")
    )
    findings = (
        f"Read as: {block['name']}",
        f"Cases: {len(cases)}, {labeled} with a label, of {len({case.patient for case in cases})} patients",
        f"Modalities: {', '.join(info.modalities)}; classes: {', '.join(info.classes)}",
        _size_line(found, None if is_coarse else patch),
        *_spacing_line(found),
        *([f"CT: {', '.join(found.ct)}"] if found.ct else []),
        f"Split: {roles}",
        f"Settings for: a machine {'with' if gpu else 'without'} a GPU",
        *(f"Note: {note}." for note in notes),
    )
    return Proposal(text, findings)


def patch_size(extent: Shape, gpu: bool) -> Shape:
    """Return the largest multiples of 16 within an extent, at most 128 with a GPU and 64 without; 32 if all are 16."""
    cap = 128 if gpu else 64
    x, y, z = (min(max(n // 16 * 16, 16), cap) for n in extent)
    # The networks halve a side up to four times: 16 voxels per side would leave a single voxel.
    return (32, 32, 32) if x == y == z == 16 else (x, y, z)


def plane_patch_size(extent: Sequence[int], gpu: bool) -> Shape:
    """Return two sides for pictures and single slices: multiples of 16, from 32 to 128, or 512 with a GPU."""
    cap = 512 if gpu else 128
    x, y = (min(max(n // 16 * 16, 32), cap) for n in extent[:2])
    return x, y


def _size_line(found: Survey, patch: Shape | None) -> str:
    size = "auto" if patch is None else _by(patch)
    if found.pictures:
        return f"Median image: {_by(found.image[:2])} pixels; patch: {size}"
    return f"Median image: {_by(found.image)} voxels, foreground: {_by(found.foreground)}; patch: {size}"


def _spacing_line(found: Survey) -> list[str]:
    if found.spacing is None or found.sizes is None:
        return []
    return [f"Voxels: {size_ranges(found)} mm; images are resampled to {_mm(found.spacing)} mm"]


def _mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{size:.3g}" for size in spacing)


def _read(block: dict[str, Any]) -> tuple[dict[str, Any], Dataset, Sequence[Case], Survey, tuple[str, ...]]:
    """Return a block's dataset, its cases, their survey, and notes; without test images if they cause errors."""
    options = {key: value for key, value in block.items() if key != "name"}
    dataset: Dataset = create("dataset", block["name"], options)
    try:
        cases = dataset.cases()
        return block, dataset, cases, survey(dataset, cases), tuple(dataset.notes())
    except DataError as error:
        if "test_images" not in block:
            raise
        found = _read({key: value for key, value in block.items() if key != "test_images"})
        faults = some([f"{problem.where}: {_in_a_line(problem.what)}" for problem in error.problems], _NAMED)
        fix = "once fixed, set dataset.test_images: unlabeled to use them as unlabeled cases"
        return *found[:-1], (f"test images are left out because of these problems: {faults}; {fix}",)


def unlabeled_note(info: DatasetInfo) -> list[str]:
    """Return notes on a class whose value looks like a mark of unlabeled voxels.

    Candidates are 255, 65535, values far above all others, and classes with such a name, if there are other classes.
    """
    found = sorted(zip(info.class_values[1:], info.classes[1:], strict=True))
    highest = found[-1][0] if len(found) > 1 else 0
    far = highest in _MARK_VALUES or (highest > 0 and highest > _FAR * found[-2][0])
    return [
        f"value {value} is read as a class, {name}; if it marks voxels that nobody labeled, remove it from the classes,"
        f" and set dataset.ignore: {value}, so that they count in no loss and no score"
        for value, name in found
        if name.lower() in _MARK_NAMES or (far and value == highest)
    ]


def _in_a_line(text: str) -> str:
    first, *listed = (line.strip() for line in text.splitlines())
    return f"{first} {some(listed, _NAMED)}" if listed else first


def _commented(text: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())


def _by(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _run_name(folder: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", folder.absolute().name).strip("._") or "my_run"


def _head(folder: Path, gpu: bool) -> str:
    return (
        f"Written by `semiseg init` for {folder.absolute()}, as a starting point.\n\n"
        "Check     semiseg check THIS_FILE (reads every file once and reports all problems)\n"
        "Run       semiseg run THIS_FILE\n"
        f"Machine   {'with a GPU' if gpu else 'without a GPU: a small network and a short training'}\n"
        "Options   semiseg plugins show NAME; `semiseg schema -o FILE` writes a schema for completion in editors"
    )


def _dataset_comment(block: Mapping[str, Any], notes: Sequence[str]) -> str:
    said = [_about_dataset(block), *(f"{note[:1].upper()}{note[1:]}." for note in notes)]
    if "test_images" in block:
        said.append("Remove test_images if you will evaluate predictions on these images.")
    return "\n".join(said)


def _about_dataset(block: Mapping[str, Any]) -> str:
    if block["name"] == "folder":
        return (
            "Rename the classes, except those of named segments (.seg.nrrd), and the modalities if there are several.\n"
            "The numbers are the label values."
        )
    if block["name"] == "la2018":
        return "The files store no spacing: distances are in voxels unless spacing_mm is given."
    return "Location of the cases."


def _split(folder: Path, cases: Sequence[Case]) -> tuple[dict[str, Any], str]:
    """Return a split with a fifth of the labeled cases for test and a tenth for validation, and its comment."""
    labeled = sum(case.label is not None for case in cases)
    if labeled < 3:
        what = f"{labeled} of {len(cases)} cases have a label; training, validation and test need one each"
        raise DataError(Problem(str(folder), what, "Label more cases, or write a recipe by hand without test cases."))
    test, validation = _evaluation_counts(cases, max(1, round(labeled * 0.2)), max(1, round(labeled * 0.1)))
    rest = labeled - test - validation
    comment = f"Test cases: about a fifth of the {labeled} labeled cases, opened once, at the end.\n"
    if labeled < len(cases):
        comment += (
            f"The other {rest} labels are used for training, with the {len(cases) - labeled} cases that have none."
        )
        return {"test": test, "validation": validation, "labeled": "all"}, comment
    few = max(1, round(rest * 0.25))
    comment += (
        f"Every case has a label. Of the other {rest}, the labels of {few} are used, and the rest serve as unlabeled,\n"
        "which shows the gain of a semi-supervised method. To train on all labels instead:\n"
        f"--set split.labeled=all {BASELINE}"
    )
    return {"test": test, "validation": validation, "labeled": few}, comment


def _folds_comment(dataset: Dataset) -> str:
    """Return lines on the dataset's own folds; empty if it has none, or none that can be used, which its notes tell."""
    try:
        folds = dataset.folds()
    except DataError:
        return ""
    if not folds:
        return ""
    return (
        f"\nThe dataset has {len(folds)} folds of its own. To train on all labels but the first fold's, which are for\n"
        "validation: --set split.folds=dataset --set split.fold=0 --set split.test=0 --set split.validation=0\n"
        f"--set split.labeled=all {BASELINE}"
    )


def _evaluation_counts(cases: Sequence[Case], test: int, validation: int) -> tuple[int, int]:
    """Return the counts nearest to the requested ones that keep all cases of each patient together."""
    near = sorted(product(range(-3, 4), repeat=2), key=lambda change: sum(map(abs, change)))
    refused: DataError | None = None
    for more_test, more_validation in near:
        counts = max(test + more_test, 1), max(validation + more_validation, 1)
        try:
            make_split(cases, Split(test=counts[0], validation=counts[1], labeled=1), draw=0)
        except DataError as error:
            refused = refused or error
        else:
            return counts
    assert refused is not None
    raise refused
