"""A folder of small volumes, some without labels, and label maps of these that another model could have predicted."""

import helpers_volumes as made
import numpy as np

SHAPE = (20, 18, 16)
LABELED, UNLABELED = "abcd", "efg"


def values_of(number, shape=SHAPE):
    """A label map of 0, 3 and 5, in which no two planes are alike."""
    return np.random.default_rng(100 + number).choice([0, 3, 5], shape, p=[0.6, 0.2, 0.2]).astype(np.uint8)


def sure_of(number, shape=SHAPE):
    """A confidence of every voxel, from 0 to 1."""
    return np.random.default_rng(200 + number).random(shape).astype(np.float32)


def write_dataset(root, affine=made.LPS):
    """Cases a to d with labels, e to g without; the image is 0 in a margin, which is cropped."""
    for number, name in enumerate(LABELED + UNLABELED):
        image = np.zeros(SHAPE, np.int16)
        image[2:18, 3:15, 1:14] = 1 + made.image(number, shape=(16, 12, 13))
        part = root / ("labeled" if name in LABELED else "unlabeled")
        made.save(part / "images" / f"{name}.nii.gz", image, affine)
        if name in LABELED:
            made.save(part / "labels" / f"{name}.nii.gz", values_of(number), affine)
    return root


def write_pseudo(folder, names=UNLABELED, affine=made.LPS, confidence=False):
    """Label maps, and with ``confidence`` confidence maps, of some cases."""
    for name in names:
        number = (LABELED + UNLABELED).index(name)
        made.save(folder / f"{name}.nii.gz", values_of(number), affine)
        if confidence:
            made.save(folder / f"{name}_confidence.nii.gz", sure_of(number), affine)
    return folder


def recipe_of(root, pseudo=None, **dataset):
    """A recipe that trains on these files in a second."""
    own = {} if pseudo is None else {"pseudo_labels": str(pseudo)}
    return {
        "name": "external",
        "seed": 1,
        "dataset": {"name": "folder", "root": str(root), "classes": {"x": 3, "y": 5}, **own, **dataset},
        "split": {"test": ["a"], "validation": ["b"], "labeled": "all"},
        "augmentation": {"name": "fused"},
        "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0},
        "strategy": {"name": "self_training", "teacher": "external"},
        "training": {
            "epochs": 3,
            "examples_per_epoch": 8,
            "patch_size": [8, 8, 8],
            "batch_size": {"labeled": 1, "unlabeled": 1},
            "checkpoint": {"minutes": 0},
            "device": "cpu",
            "workers": 0,
        },
        "preprocessing": {"store": str(root / "store")},
        "inference": {"overlap": 0.0},
    }
