"""A recipe that trains in seconds: six tiny made heads, a small network, a few steps."""

SMALL = {
    "name": "small",
    "seed": 3,
    "dataset": {"name": "phantom", "cases": 6, "size": [32, 32, 32]},
    "split": {"test": 1, "validation": 1, "labeled": 2, "total": 4},
    "augmentation": {"name": "luque2023"},
    "backbone": {"name": "unet", "channels": [4, 8], "strides": [2], "num_res_units": 0, "dropout": 0.1},
    "strategy": {"name": "cps", "wait_share": 0.3},
    "training": {
        "epochs": 3,
        "examples_per_epoch": 8,
        "patch_size": [16, 16, 16],
        "batch_size": {"labeled": 1, "unlabeled": 1},
        "checkpoint": {"minutes": 0},
        "workers": 0,
    },
    "inference": {"overlap": 0.0},
}


def of_pictures(root, split, **dataset):
    """The same for RGB pictures of disks, as ``helpers_pictures.write_pictures`` makes them."""
    modalities = ["red", "green", "blue"]
    return {
        **SMALL,
        "dataset": {"name": "folder", "root": str(root), "classes": {"disk": 255}, "modalities": modalities, **dataset},
        "split": split,
        "training": {**SMALL["training"], "patch_size": [16, 16]},
    }
