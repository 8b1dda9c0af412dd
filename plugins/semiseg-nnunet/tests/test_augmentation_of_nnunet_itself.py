"""The augmentation against nnU-Net's own pipeline, draw by draw; skipped without nnU-Net.

nnU-Net has an environment of its own: SEMISEG_NNUNET_BIN is the folder of its commands and its Python.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from semiseg_nnunet.augmentation import NNUNetAugmentation

PYTHON = Path(os.environ.get("SEMISEG_NNUNET_BIN", "/nowhere"), "python")
pytestmark = [pytest.mark.skipif(not PYTHON.exists(), reason="needs nnU-Net v2 (SEMISEG_NNUNET_BIN)")]
SEEDS = 60
PATCHES = [(20, 28, 20), (8, 40, 36), (48, 64), (72, 36)]  # for nnU-Net, a coarse axis is the first

# For each file in a folder, the transforms that nnU-Net's trainer makes for its patch, on its sample, with the seeds
# that semiseg's augmentation takes.
THEIRS = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np, torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer as Trainer

torch.set_num_threads(1)
for file in Path(sys.argv[1]).glob("given-*.npz"):
    given = np.load(file)
    patch = tuple(int(n) for n in given["patch"])
    trainer = SimpleNamespace(configuration_manager=SimpleNamespace(patch_size=patch), print_to_log_file=print)
    rotation, dummy, _, axes = Trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size(trainer)
    pipeline = Trainer.get_training_transforms(patch, rotation, None, axes, dummy)
    for step in pipeline.transforms:
        if hasattr(getattr(step, "transform", None), "benchmark"):
            step.transform.benchmark = False
    images, labels = [], []
    for seed in range(int(given["seeds"])):
        torch.manual_seed(seed)
        np.random.seed(int(torch.randint(2**32, ())))
        image, label = torch.from_numpy(given["image"].copy()), torch.from_numpy(given["label"].copy())
        changed = pipeline(image=image, segmentation=label[None])
        images.append(changed["image"].numpy())
        labels.append(changed["segmentation"][0].numpy())
    np.savez(file.with_name(file.name.replace("given", "made")), images=np.stack(images), labels=np.stack(labels))
"""
AUGMENTATION = NNUNetAugmentation(NNUNetAugmentation.Options(keep_background=False))


def sample(patch):
    """Two channels of noise, and the values 0, 85, 170 and 255 (ignored) as a label."""
    source, generator = AUGMENTATION.source_size(patch), torch.Generator().manual_seed(0)
    return torch.randn((2, *source), generator=generator), 85 * torch.randint(4, source, generator=generator)


def name(kind, patch):
    return f"{kind}-{'x'.join(map(str, patch))}.npz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The samples of all patches, and what nnU-Net makes of them."""
    folder = tmp_path_factory.mktemp("samples")
    for patch in PATCHES:
        image, label = sample(patch)
        given = {"image": image.numpy(), "label": label.numpy().astype(np.int16)}
        np.savez(folder / name("given", patch), **given, patch=patch, seeds=SEEDS)
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    run = subprocess.run([PYTHON, "-c", THEIRS, folder], capture_output=True, text=True, check=False, env=kept)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.parametrize("patch", PATCHES, ids=str)
def test_samples_are_those_of_nnunet(patch, folder):
    theirs, (image, label) = np.load(folder / name("made", patch)), sample(patch)
    images, labels = theirs["images"], theirs["labels"]
    with torch.random.fork_rng(devices=[]):
        for seed in range(SEEDS):
            torch.default_generator.manual_seed(seed)
            changed, changed_label = AUGMENTATION(image, label, patch)
            assert np.allclose(changed.numpy(), images[seed], atol=1e-4), f"seed {seed}"
            assert np.array_equal(changed_label.numpy(), labels[seed]), f"seed {seed}"
