"""Small raw datasets of nnU-Net v2."""

import json

import helpers_volumes as made

BRATS_LABELS = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": [3]}
"""As in nnU-Net's conversion of BraTS."""


def write_nnunet(root, channels=("CT",), labeled=3, test=0, unlabeled=0, values=(0, 1, 2), ending=".nii.gz", **changes):
    """Cases x_0, x_1 … with labels, t_0 … in imagesTs, u_0 … in imagesUn; ``changes`` to dataset.json, None removes."""
    for folder, letter, count in (("imagesTr", "x", labeled), ("imagesTs", "t", test), ("imagesUn", "u", unlabeled)):
        for number in range(count):
            for channel in range(len(channels)):
                seed = 100 * ord(letter) + 10 * number + channel
                made.save(root / folder / f"{letter}_{number}_{channel:04d}{ending}", made.image(seed))
    for number in range(labeled):
        made.save(root / "labelsTr" / f"x_{number}{ending}", made.label(made.turned(values, number)))
    manifest = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {"background": 0, "liver": 1, "tumor": 2},
        "numTraining": labeled,
        "file_ending": ending,
        **changes,
    }
    write_json(root / "dataset.json", {key: value for key, value in manifest.items() if value is not None})
    return root


def write_regions(root, **changes):
    """The labels of BraTS in nnU-Net."""
    order = {"regions_class_order": [1, 2, 3]}
    return write_nnunet(root, **{"values": (0, 1, 2, 3), "labels": BRATS_LABELS, **order, **changes})


def write_folds(root, *validation, ids=("x_0", "x_1", "x_2")):
    """splits_final.json with these validation lists; all other ids are the fold's training cases."""
    folds = [{"train": [i for i in ids if i not in val], "val": list(val)} for val in validation]
    return write_json(root / "splits_final.json", folds)


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path
