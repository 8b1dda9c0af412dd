"""The blocks of a first recipe that depend on the images and the machine, each with its comment."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from semiseg.codings.region_table import MOST_REGIONS
from semiseg.init.dataset_stats import Survey
from semiseg.pipeline.outputs import has_sides
from semiseg.types import DatasetInfo, Shape

BASELINE = "--set strategy.name=supervised --set strategy.loss=dice_ce"
Section = tuple[str, Mapping[str, Any]]
"""Comment lines, and the keys below them."""


def preprocessing_section(block: Mapping[str, Any], found: Survey, modalities: Sequence[str]) -> Section:
    """Return normalization, foreground and voxel size for the images that were found."""
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
        comment = "Many voxels are exactly 0: they count as background, which is cropped and not normalized."
        keys = {"normalize": "zscore", "foreground": "nonzero"}
    else:
        comment = "Few voxels are exactly 0: the whole image counts as foreground."
        keys = {"normalize": "zscore", "foreground": "all"}
    if found.spacing is not None:
        comment += "\nVoxel size in mm along right, anterior and superior to which images are resampled"
        comment += ", the median." if found.sizes is None else f": theirs are {size_ranges(found)}."
        keys["spacing"] = found.in_plane(found.spacing)
    return comment, {"preprocessing": keys}


def _by_modality(found: Survey, modalities: Sequence[str]) -> Any:
    if len(found.ct) == len(modalities):
        return "ct"
    return {name: "ct" if name in found.ct else "zscore" for name in modalities}


def augmentation_section(block: Mapping[str, Any], info: DatasetInfo, found: Survey) -> Section:
    """Return the augmentation, with the flips that make sense."""
    if block["name"] == "brats":
        axes, comment = ["left-right", "anterior-posterior", "superior-inferior"], "Tumors may be anywhere."
    elif has_sides(info.classes):
        axes, comment = [], "No flips: left and right are different classes."
    elif found.pictures:
        axes = ["left-right", "anterior-posterior"]
        comment = "left-right mirrors left to right, anterior-posterior top to bottom. Remove one that makes no sense."
    else:
        axes, comment = ["left-right"], "Remove left-right if left and right are different classes."
    return comment, {"augmentation": {"name": "luque2023", "flip_axes": axes}}


def method_sections(patch: Shape, gpu: bool, is_coarse: bool) -> list[Section]:
    """Return backbone and strategy."""
    small: dict[str, Any] = {} if gpu else {"channels": [16, 32, 64, 128], "strides": [2, 2, 2], "num_res_units": 1}
    if is_coarse:
        small["strides"] = "auto"  # the coarse axis is halved later
    method: dict[str, Any] = {"name": "fixmatch", "preset": "short", "loss": "dice_ce"}
    if _per_stream(patch, gpu, is_coarse) == 1:
        method |= {"cutmix": 0.0, "cut_out": 0.5}  # CutMix needs pairs
    return [
        ("`semiseg plugins` lists other networks and methods.", {"backbone": {"name": "unet", **small}}),
        (
            "A moving average of the network labels unlabeled images, and the network learns these labels on strongly\n"
            "changed images, after 30 % of training on labels alone.\n"
            f"Baseline: {BASELINE}",
            {"strategy": method},
        ),
    ]


def _per_stream(patch: Shape, gpu: bool, is_coarse: bool) -> int:
    """Return the labeled samples of a step, and the unlabeled ones."""
    if len(patch) == 2:
        return 8 if gpu else 4
    # The plan for coarse voxels gives a CPU the largest patch of which two samples take no more than its time.
    return 2 if gpu or (not is_coarse and math.prod(patch) <= 48 * 64 * 48) else 1


def task_outputs(block: Mapping[str, Any], info: DatasetInfo) -> dict[str, Any]:
    """Return ``outputs: regions`` for an nnU-Net dataset whose labels are regions."""
    return {"outputs": "regions"} if block["name"] == "nnunet" and 0 < len(info.regions) <= MOST_REGIONS else {}


def training_section(
    patch: Shape, gpu: bool, is_coarse: bool, has_foreground: bool, outputs: Mapping[str, Any]
) -> Section:
    """Return the length of training, patch, batch and optimizer."""
    per_stream = _per_stream(patch, gpu, is_coarse)
    epochs, examples = (300, 250) if gpu else (20, 200 if per_stream > 1 else 100)
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
        comment += "\nA third of the labeled patches are centered on foreground, each class with equal probability."
    return comment, {"training": keys}


def size_ranges(found: Survey) -> str:
    """Return the smallest and largest voxel size along each axis, in words."""
    assert found.sizes is not None
    return " x ".join(f"{a:.3g}" if a == b else f"{a:.3g} to {b:.3g}" for a, b in zip(*found.sizes, strict=True))
