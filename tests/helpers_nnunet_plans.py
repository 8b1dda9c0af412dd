"""nnU-Net's plans for datasets with given grids, and what this planner makes of the same grids and estimate of memory.

The plans are those of nnU-Net's own commands, kept in unit/planning/nnunet_plans.json with its version. A test in
integration/test_nnunet_itself.py makes them again where nnU-Net is installed.
"""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np

from semiseg.interfaces.strategy import BatchNeeds, StreamNeeds
from semiseg.interfaces.topology import planned_topology
from semiseg.planning import settle as settle_module
from semiseg.planning.measures import CaseMeasures, ChannelMeasures
from semiseg.planning.settle import Machine, settle
from semiseg.preprocessing.slices import axis_of_slices
from semiseg.recipe.load import load_recipe

KEPT = json.loads((Path(__file__).parent / "unit" / "planning" / "nnunet_plans.json").read_text())
DATASETS = KEPT["datasets"]
"""By name: modalities, number of foreground classes, cases (voxel size and shape along R, A and S), and plans."""
DIMENSIONS = {"3d_fullres": "auto", "2d": "auto-2d"}
"""nnU-Net's configurations, and the patch size that asks for the same here."""
LABELED = BatchNeeds(unlabeled=StreamNeeds(uses=False))


def write_raw(root, number, name):
    """Write a raw dataset of nnU-Net with a kept dataset's grids. Images are nonzero everywhere: nothing is cropped."""
    wanted, home = DATASETS[name], root / f"Dataset{number}_{name}"
    for folder in ("imagesTr", "labelsTr"):
        (home / folder).mkdir(parents=True)
    for index, (spacing, shape) in enumerate(wanted["cases"]):
        affine = np.diag([*spacing, 1.0])
        ramp = np.broadcast_to(np.arange(1, shape[0] + 1, dtype=np.int16)[:, None, None], shape)
        for channel in range(len(wanted["modalities"])):
            path = home / "imagesTr" / f"case_{index}_{channel:04d}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(ramp), affine), path)
        label = (ramp % (wanted["classes"] + 1)).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(label, affine), home / "labelsTr" / f"case_{index}.nii.gz")
    names = {f"class_{value}": value for value in range(1, wanted["classes"] + 1)}
    manifest = {
        "channel_names": dict(enumerate(wanted["modalities"])),
        "labels": {"background": 0, **names},
        "numTraining": len(wanted["cases"]),
        "file_ending": ".nii.gz",
    }
    (home / "dataset.json").write_text(json.dumps(manifest))
    return home


def plans_of(folder):
    """What a preprocessed folder of nnU-Net plans, by configuration, along R, A and S.

    nnU-Net reads arrays as (S, A, R), and its plans have the coarsest of these axes first.
    """
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    axes = [2 - axis for axis in plans["transpose_forward"]]
    return {name: _plan(plans["configurations"][name], axes) for name in DIMENSIONS}


def _plan(configuration, axes):
    axes = axes[-len(configuration["spacing"]) :]

    def turned(values):
        return [values[axes.index(axis)] for axis in sorted(axes)]

    network = configuration["architecture"]["arch_kwargs"]
    return {
        "axes": sorted(axes),
        "spacing": [round(size, 5) for size in turned(configuration["spacing"])],
        "patch": turned(configuration["patch_size"]),
        "batch": configuration["batch_size"],
        "strides": [turned(stride) for stride in network["strides"]],
        "kernels": [turned(kernel) for kernel in network["kernel_sizes"]],
    }


def measures_of(name):
    """The cases of a kept dataset, as if they had been measured."""
    wanted = DATASETS[name]
    channels = (ChannelMeasures(False),) * len(wanted["modalities"])
    return [
        CaseMeasures(str(index), tuple(spacing), tuple(shape), tuple(shape), 0.0, "mm", channels)
        for index, (spacing, shape) in enumerate(wanted["cases"])
    ]


def nnunet_machine(classes):
    """A machine that holds what nnU-Net assumes for 8 GB: twelve samples in 2D, two in 3D, of a reference size.

    The size is that of all feature maps of convolutions, ``compute_conv_feature_map_size`` of
    dynamic-network-architectures, with nnU-Net's two convolutions a stage.
    """

    def fits(patch, samples, values):
        reference, held = (85_000_000, 12) if len(patch) == 2 else (560_000_000, 2)
        spacing = tuple(values["preprocessing.spacing"])
        return feature_maps(patch, spacing, classes + 1) / held * samples <= reference

    return Machine("cuda", fits, lambda patch, values: False)


def feature_maps(patch, spacing, outputs):
    """Numbers in the feature maps of nnU-Net's plain U-Net without deep supervision."""
    strides = planned_topology(patch, spacing).strides
    most = 512 if len(patch) == 2 else 320
    size, total = patch, 0
    for stage, stride in enumerate(strides):
        size = [n // step for n, step in zip(size, stride, strict=True)]
        channels = min(most, 32 * 2**stage)
        encoder = 2 * channels
        decoder = 3 * channels if stage < len(strides) - 1 else 0  # two convolutions and the transposed one
        head = 0 if stage else outputs
        total += (encoder + decoder + head) * math.prod(size)
    return total


def planned(name, configuration, monkeypatch, tmp_path):
    """The plan that is made here for a kept dataset, in the form of ``plans_of``."""
    wanted, cases = DATASETS[name], measures_of(name)
    monkeypatch.setattr(settle_module, "measure_cases", lambda *_: cases)
    names = ("background", *(f"class_{value}" for value in range(1, wanted["classes"] + 1)))
    dataset = SimpleNamespace(info=lambda: SimpleNamespace(modalities=tuple(wanted["modalities"]), classes=names))
    split = SimpleNamespace(labeled=cases, unlabeled=[])
    settled = settle(recipe_of(configuration), dataset, split, tmp_path, nnunet_machine(wanted["classes"]), LABELED)
    return in_their_form(settled.values, cases)


def in_their_form(values, cases):
    """Settled values, in the form of ``plans_of``."""
    patch, spacing = values["training.patch_size"], values["preprocessing.spacing"]
    topology = planned_topology(tuple(patch), tuple(spacing))
    across = {axis_of_slices(case.shape, case.spacing) for case in cases} if len(patch) == 2 else set()
    return {
        "axes": [axis for axis in range(3) if axis not in across],
        "spacing": [round(size, 5) for size in spacing],
        "patch": patch,
        "batch": values["training.batch_size"]["labeled"],
        "strides": [[*stride] for stride in topology.strides],
        "kernels": [[*kernel] for kernel in topology.kernel_sizes],
    }


def recipe_of(configuration, crop=False):
    """A recipe that has voxel size, patch and batch made from the data, as nnU-Net's configuration has.

    ``crop``: to the nonzero voxels of each image, as nnU-Net does.
    """
    foreground = "nonzero" if crop else "all"
    return load_recipe(
        {
            "name": "planned",
            "dataset": {"name": "phantom"},
            "split": {"labeled": "all"},
            "backbone": "unet",
            "strategy": "supervised",
            "preprocessing": {"spacing": "auto", "normalize": "zscore", "foreground": foreground},
            "training": {"patch_size": DIMENSIONS[configuration], "batch_size": "auto"},
        }
    )
