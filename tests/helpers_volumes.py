"""Tiny files in every layout that semiseg reads, made by a few lines each."""

import json

import nibabel
import numpy as np

LPS = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
SHAPE = (9, 8, 7)


def save(path, array, affine=LPS):
    """Write an array as nibabel does, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def image(seed=0, dtype=np.int16, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 900, shape).astype(dtype)


def label(values=(0, 1, 2), shape=SHAPE, dtype=np.uint8):
    """Every value is there."""
    return np.resize(np.array(values), shape).astype(dtype)


def turned(values, number):
    """Values in another order for each case, so that its label is no other's."""
    return values[number:] + values[:number]


def write_brats_case(root, case_id, modern=False, label_values=(0, 1, 2, 4), suffix=".nii.gz", skip=(), scan=0):
    """One case in a folder of its own; ``label_values=None`` leaves the label out; each ``scan`` has its own voxels."""
    names = ("t1n", "t1c", "t2w", "t2f") if modern else ("t1", "t1ce", "t2", "flair")
    separator = "-" if modern else "_"
    for seed, name in enumerate(names):
        if name not in skip:
            save(root / case_id / f"{case_id}{separator}{name}{suffix}", image(seed + 10 * scan))
    if label_values is not None:
        save(root / case_id / f"{case_id}{separator}seg{suffix}", label(label_values))
    return root / case_id


def write_brats(root):
    for number in range(3):
        write_brats_case(root / "HGG", f"BraTS_{number:02d}", label_values=turned((0, 1, 2, 4), number), scan=number)
    write_brats_case(root / "LGG", "BraTS_09", label_values=None, scan=9)
    return root


def write_brats_2023(root):
    for number, case_id in enumerate(("BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "BraTS-GLI-00006-000")):
        write_brats_case(root, case_id, modern=True, label_values=turned((0, 1, 2, 3), number), scan=number)
    return root


def write_decathlon(root, channels=1, **changes):
    """Two labeled cases and an unlabeled one; ``changes`` to dataset.json."""
    shape = SHAPE if channels == 1 else (*SHAPE, channels)
    for number, folder in enumerate(("imagesTr", "imagesTr", "imagesUn")):
        save(root / folder / f"part_{number}.nii.gz", image(number, np.float32, shape), np.eye(4))
    for number in range(2):
        save(root / "labelsTr" / f"part_{number}.nii.gz", label(turned((0, 1, 2), number)), np.eye(4))
    manifest = {
        "name": "Parts",
        "modality": {str(i): f"MR{i}" for i in range(channels)},
        "labels": {"0": "background", "1": "front", "2": "back"},
        "training": [
            {"image": f"./imagesTr/part_{i}.nii.gz", "label": f"./labelsTr/part_{i}.nii.gz"} for i in range(2)
        ],
        "unlabeled": ["./imagesUn/part_2.nii.gz"],
        "test": ["./imagesTs/part_9.nii.gz"],
        **changes,
    }
    manifest = {key: value for key, value in manifest.items() if value is not None}
    (root / "dataset.json").write_text(json.dumps(manifest))
    return root


def write_folder(root, modalities=1):
    """Two labeled cases and an unlabeled one."""
    suffixes = [""] if modalities == 1 else [f"_{i:04d}" for i in range(modalities)]
    for number, (case_id, part) in enumerate((("a_1", "labeled"), ("a_2", "labeled"), ("b_1", "unlabeled"))):
        for seed, suffix in enumerate(suffixes):
            save(root / part / "images" / f"{case_id}{suffix}.nii.gz", image(seed + 10 * number))
        if part == "labeled":
            save(root / part / "labels" / f"{case_id}.nii.gz", label(turned((0, 1, 2), number)))
    return root


def write_la_case(folder, seed=0, **arrays):
    import h5py

    folder.mkdir(parents=True)
    arrays = {"image": image(seed, np.float32) / 300 - 1, "label": label((0, 1)), **arrays}
    with h5py.File(folder / "mri_norm2.h5", "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file.create_dataset(name, data=array, compression="gzip")
    return folder / "mri_norm2.h5"


def write_la2018(root):
    for number in range(3):
        folder = root / "2018LA_Seg_Training Set" / f"ID{number}"
        write_la_case(folder, number, label=label(turned((0, 1, 1), number)))
    (root / "train.list").write_text("ID0\nID1\n")
    return root


def write_acdc_case(path, seed=0, **arrays):
    """An h5 file of the papers: (Z, Y, X)."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"image": image(seed, np.float32).T / 1000, "label": label(turned((0, 1, 2, 3), seed)).T, **arrays}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file.create_dataset(name, data=array, compression="gzip")
    return path


ACDC_IDS = ("patient001_frame01", "patient001_frame12", "patient002_frame01", "patient002_frame09")


def write_acdc(root):
    """Two patients in the papers' form, with the files of single slices and lists of cases that lie beside them."""
    for number, case_id in enumerate(ACDC_IDS):
        write_acdc_case(root / "data" / f"{case_id}.h5", number)
        for index in range(2):
            flat = {"image": image(number, np.float32)[..., index].T, "label": label((0, 1, 2, 3))[..., index].T}
            write_acdc_case(root / "data" / "slices" / f"{case_id}_slice_{index}.h5", **flat)
    (root / "test.list").write_text("patient001_frame01\n")
    return root


def write_acdc_nifti(root):
    """Two patients as downloaded, one in each of the challenge's parts."""
    for number, case_id in enumerate(ACDC_IDS):
        patient = case_id[:10]
        folder = root / ("training" if patient == "patient001" else "testing") / patient
        affine = np.diag([1.5, 1.5, 10.0, 1.0])
        save(folder / f"{case_id}.nii.gz", image(number), affine)
        save(folder / f"{case_id}_gt.nii.gz", label(turned((0, 1, 2, 3), number)), affine)
        save(folder / f"{patient}_4d.nii.gz", image(number, shape=(*SHAPE, 2)), affine)
        (folder / "Info.cfg").write_text("ED: 1\n")
    return root
