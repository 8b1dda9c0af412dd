"""A run folder is all that ``semiseg predict`` needs: the data that it was trained on may be gone."""

import shutil
from pathlib import Path

import helpers_nnunet as nnunet
import helpers_volumes as made
import nibabel as nib
import numpy as np
import pytest
from drawn_run import drawn_run
from small_run import SMALL

import semiseg as library


def of_dataset(**dataset):
    recipe = {**SMALL, "dataset": dataset, "split": {"labeled": 1, "draw": 0}}
    recipe["training"] = {**SMALL["training"], "patch_size": [8, 8, 8]}
    return recipe


def a_folder(root):
    return made.write_folder(root, modalities=2)


DATASETS = {
    "brats": (made.write_brats, {}, "HGG/BraTS_00/BraTS_00_{}.nii.gz", ("t1", "t1ce", "t2", "flair"), {0, 1, 2, 4}),
    "brats of 2023": (
        made.write_brats_2023,
        {"modalities": ["t2"]},
        "BraTS-GLI-00005-000/BraTS-GLI-00005-000-{}.nii.gz",
        ("t2w",),
        {0, 1, 2, 3},
    ),
    "decathlon": (made.write_decathlon, {}, "imagesTr/part_{}.nii.gz", ("0",), {0, 1, 2}),
    "folder": (
        a_folder,
        {"modalities": ["t1", "t2"], "classes": {"front": 5, "back": 9}, "label_map": {1: 1, 2: 2}},
        "labeled/images/a_1_{}.nii.gz",
        ("0000", "0001"),
        {0, 5, 9},
    ),
    "la2018": (made.write_la2018, {}, "2018LA_Seg_Training Set/ID0/{}.h5", ("mri_norm2",), {0, 1}),
    "nnunet": (nnunet.write_nnunet, {}, "imagesTr/x_0_{}.nii.gz", ("0000",), {0, 1, 2}),
    "phantom": (None, {"cases": 3, "size": [32, 32, 32]}, "Phantom_000/Phantom_000_{}.nii.gz", None, {0, 1, 2, 4}),
}


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("root", ["as it was", "${SEMISEG_TEST_NO_SUCH_VARIABLE}/data"])
def test_a_run_folder_predicts_on_a_machine_without_its_data(name, root, tmp_path):
    write, options, pattern, channels, values = DATASETS[name]
    data = tmp_path / "data"
    if write:
        write(data)
    drawn_run(tmp_path / "run", of_dataset(name=name.split()[0], root=str(data), **options))
    if not write:
        channels, (data,) = ("t1", "t1ce", "t2", "flair"), data.iterdir()
    files = [tmp_path / "new" / Path(pattern.format(channel)).name for channel in channels]
    for channel, target in zip(channels, files, strict=True):
        target.parent.mkdir(exist_ok=True)
        shutil.copy(data / pattern.format(channel), target)
    before = library.predict(tmp_path / "run", files, tmp_path / "before")[0]
    (tmp_path / "data").rename(tmp_path / "gone")
    other = (tmp_path / "run").rename(tmp_path / "elsewhere")
    if root.startswith("$"):
        text = (other / "recipe.yaml").read_text()
        assert str(tmp_path / "data") in text
        (other / "recipe.yaml").write_text(text.replace(str(tmp_path / "data"), root))
    by_files = library.predict(other, files, tmp_path / "by files")
    by_folder = library.predict(other, tmp_path / "new", tmp_path / "by folder")
    assert [path.read_bytes() for path in (*by_files, *by_folder)] == [before.read_bytes()] * 2
    assert set(np.unique(np.asarray(nib.load(by_files[0]).dataobj))) <= values
    assert not (tmp_path / "data").exists()
