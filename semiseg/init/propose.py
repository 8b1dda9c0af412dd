"""A first recipe for a folder of images: the content of the folder, and settings that run."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from semiseg.codings.region_table import MOST_REGIONS
from semiseg.data.split import make_split
from semiseg.errors import DataError, Problem
from semiseg.init.dataset_stats import Survey, survey
from semiseg.init.recognize import recognize
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
_BASELINE = "--set strategy.name=supervised --set strategy.loss=dice_ce"
Section = tuple[str, Mapping[str, Any]]
"""Comment lines, and the keys below them."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A recipe's text, and the findings in the folder, line by line."""

    text: str
    findings: tuple[str, ...]


def propose_recipe(folder: Path, *, gpu: bool) -> Proposal:
    """Return a commented recipe for a folder, for a machine with or without a GPU.

    The recipe has been loaded and planned on the data; unlike in ``check``, files are not read to their end. Raises
    SemisegError if the folder is not recognized, or the data are not enough for training, validation and test.
    """
    block, dataset, cases, found, notes = _read(recognize(folder))
    info = dataset.info()
    notes = (*notes, *unlabeled_note(info))
    split, split_comment = _split(folder, cases)
    patch = plane_patch_size(found.foreground, gpu) if found.pictures else patch_size(found.foreground, gpu)
    is_coarse = found.spacing is not None and max(found.spacing) >= _COARSE * min(found.spacing)
    sections: list[Section] = [
        (_head(folder, gpu), {"name": _run_name(folder), "seed": 0}),
        (_dataset_comment(block, notes), {"dataset": block}),
        (split_comment, {"split": split}),
        _preprocessing(block, found, info.modalities),
        _augmentation(block, info, found),
        *_method(gpu, is_coarse),
        _training(patch, gpu, is_coarse, len(info.classes) > 1, _outputs(block, info)),
    ]
    text = "\n".join(_commented(comment) + to_yaml(keys) for comment, keys in sections)
    plan = make_plan(load_recipe(parse_yaml(text, "the proposed recipe")[0], expand=False))
    labeled = sum(case.label is not None for case in cases)
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


def plane_patch_size(extent: Shape, gpu: bool) -> Shape:
    """Return two sides for pictures: multiples of 16 within an extent, from 32 to 512 with a GPU, to 128 without."""
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
    return [f"Voxels: {_ranges(found)} mm; images are resampled to {_mm(found.spacing)} mm"]


def _ranges(found: Survey) -> str:
    assert found.sizes is not None
    return " x ".join(f"{a:.3g}" if a == b else f"{a:.3g} to {b:.3g}" for a, b in zip(*found.sizes, strict=True))


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
        f"--set split.labeled=all {_BASELINE}"
    )
    return {"test": test, "validation": validation, "labeled": few}, comment


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


def _preprocessing(block: Mapping[str, Any], found: Survey, modalities: Sequence[str]) -> Section:
    if block["name"] == "la2018":
        stored: dict[str, Any] = {"normalize": "none", "foreground": "all", "crop": False}
        return "The files are already normalized, and cropped around the true label (optimistic).", {
            "preprocessing": stored
        }
    if found.pictures:
        return "The whole picture counts as foreground.", {
            "preprocessing": {"normalize": "zscore", "foreground": "all"}
        }
    keys: dict[str, Any]
    if found.ct:
        comment = "CT: clipped and scaled by the intensities within the classes of the labeled cases."
        keys = {"normalize": _by_modality(found, modalities), "foreground": "all"}
    elif found.zero_is_background:
        comment = "Many voxels are exactly 0: they count as background, which is cropped and excluded from the mean."
        keys = {"normalize": "zscore", "foreground": "nonzero"}
    else:
        comment = "Few voxels are exactly 0: the whole image counts as foreground."
        keys = {"normalize": "zscore", "foreground": "all"}
    if found.spacing is not None:
        comment += "\nVoxel size in mm along right, anterior and superior to which images are resampled"
        comment += ", the median." if found.sizes is None else f": theirs are {_ranges(found)}."
        keys["spacing"] = list(found.spacing)
    return comment, {"preprocessing": keys}


def _by_modality(found: Survey, modalities: Sequence[str]) -> Any:
    if len(found.ct) == len(modalities):
        return "ct"
    return {name: "ct" if name in found.ct else "zscore" for name in modalities}


def _augmentation(block: Mapping[str, Any], info: DatasetInfo, found: Survey) -> Section:
    words = {word for name in info.classes for word in re.split(r"[^a-z]+", name.lower())}
    if block["name"] == "brats":
        axes, comment = ["left-right", "anterior-posterior", "superior-inferior"], "Tumors may be anywhere."
    elif {"left", "right"} <= words:
        axes, comment = [], "No flips: left and right are different classes."
    elif found.pictures:
        axes = ["left-right", "anterior-posterior"]
        comment = "left-right mirrors left to right, anterior-posterior top to bottom. Remove one that makes no sense."
    else:
        axes, comment = ["left-right"], "Remove left-right if left and right are different classes."
    return comment, {"augmentation": {"name": "luque2023", "flip_axes": axes}}


def _method(gpu: bool, is_coarse: bool) -> list[Section]:
    small: dict[str, Any] = {} if gpu else {"channels": [16, 32, 64, 128], "strides": [2, 2, 2], "num_res_units": 1}
    if is_coarse:
        small["strides"] = "auto"  # the coarse axis is halved later
    wait = 0.1 if gpu else 0.4
    return [
        ("`semiseg plugins` lists other networks and methods.", {"backbone": {"name": "unet", **small}}),
        (
            f"Two networks that label for each other, after {wait:.0%} of training on labels alone: if they start too\n"
            f"early, both agree on nonsense. Baseline: {_BASELINE}",
            {"strategy": {"name": "cps", "phi": 0.5, "wait_share": wait, "loss": "dice_ce"}},
        ),
    ]


def _outputs(block: Mapping[str, Any], info: DatasetInfo) -> dict[str, Any]:
    """Return ``outputs: regions`` for an nnU-Net dataset whose labels are regions."""
    return {"outputs": "regions"} if block["name"] == "nnunet" and 0 < len(info.regions) <= MOST_REGIONS else {}


def _training(patch: Shape, gpu: bool, is_coarse: bool, has_foreground: bool, outputs: Mapping[str, Any]) -> Section:
    flat = len(patch) == 2
    # The plan for coarse voxels gives a CPU the largest patch of which two samples take no more than its time.
    two = gpu or flat or (not is_coarse and math.prod(patch) <= 48 * 64 * 48)
    per_stream = (8 if gpu else 4) if flat else (2 if two else 1)
    epochs, examples = (300, 250) if gpu else (20, 200 if two else 100)
    keys = {
        "epochs": epochs,
        "examples_per_epoch": examples,
        "patch_size": "auto" if is_coarse else list(patch),
        **outputs,
        "batch_size": {"labeled": per_stream, "unlabeled": per_stream},
        **({"foreground_share": 0.33} if has_foreground else {}),
        "optimizer": {"name": "adam", "lr": 5e-4 if gpu else 3e-3, "weight_decay": 2e-5},
    }
    steps = epochs * -(-examples // (2 * per_stream))
    comment = f"{steps} steps. More epochs improve the result; a larger patch gives more context and needs more memory."
    if has_foreground:
        comment += "\nA third of the labeled patches are centered on foreground, the class drawn evenly."
    return comment, {"training": keys}
