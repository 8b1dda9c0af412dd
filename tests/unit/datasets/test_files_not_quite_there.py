"""Files and folders that are nearly there: broken links on the way, odd names, half a download; none is passed over."""

import json
import shutil
from pathlib import Path

import helpers_volumes as made
import numpy as np
import pytest

from semiseg.datasets.brats import Brats
from semiseg.datasets.decathlon import Decathlon
from semiseg.datasets.folder import Folder
from semiseg.datasets.nnunet import NnUNet
from semiseg.errors import DataError
from semiseg.init.recognize import recognize
from semiseg.io.finding import find

READ = {"brats": Brats, "folder": Folder, "decathlon": Decathlon}


def read(root):
    """The cases of the dataset that ``semiseg init`` would write a recipe for."""
    block = recognize(root)
    cls = READ[block.pop("name")]
    return cls(cls.Options(**block)).cases()


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


def broken(path):
    """The path, as a link to nothing."""
    if path.exists():
        shutil.rmtree(path)
    path.symlink_to("annex/not-fetched")
    return path


@pytest.mark.parametrize("place", ["unlabeled", "unlabeled/images", "labeled/labels", "unlabelled"])
def test_a_folder_that_is_a_link_to_nothing_loses_no_case(tmp_path, place):
    root = made.write_folder(tmp_path)
    if place == "unlabelled":
        shutil.rmtree(root / "unlabeled")
    link = broken(root / place)
    assert refusal(read, root).startswith(f"{link}: broken link\n")


@pytest.mark.parametrize("place", ["labelsTs", "imagesTs"])
@pytest.mark.parametrize("nnunet", [True, False])
def test_test_images_whose_labels_are_not_fetched_are_not_taken_for_unlabeled(tmp_path, place, nnunet):
    root = made.write_decathlon(tmp_path)
    for folder in ("imagesTs", "labelsTs"):
        made.save(root / folder / "part_9.nii.gz", made.label())
    if nnunet:
        for path in [*(root / "imagesTr").iterdir(), *(root / "imagesTs").iterdir()]:
            path.rename(path.with_name(path.name.replace(".nii.gz", "_0000.nii.gz")))
    link = broken(root / place)
    assert refusal(recognize, root).startswith(f"{link}: broken link\n")


def test_a_line_break_in_a_name_is_refused_and_not_passed_over(tmp_path):
    root = made.write_folder(tmp_path / "mine")
    for part in ("images", "labels"):
        path = root / "labeled" / part / "a_1.nii.gz"
        path.rename(path.with_name("a\n1.nii.gz"))
    assert r"case 'a\n1': its id cannot be a file name" in refusal(read, root)
    made.write_brats_case(tmp_path / "brats", "c\n1")
    assert r"case 'c\n1': its id cannot be a file name" in refusal(read, tmp_path / "brats")


def test_an_id_that_leaves_no_room_for_outputs_is_refused_before_anything_is_trained(tmp_path):
    root = made.write_folder(tmp_path)
    for length, told in ((200, None), (201, "its id has 201 bytes")):
        for part in ("images", "labels"):
            (path,) = (root / "labeled" / part).glob("[a\u00e4]?[1\u00e4]*")
            path.rename(path.with_name("\u00e4" * (length // 2) + "a" * (length % 2) + ".nii.gz"))
        if told:
            assert told in refusal(read, root)
        else:
            assert len(read(root)) == 3


@pytest.mark.parametrize("name", ["c_seg.nii.gz.part", "c_seg.nii.gz ", "c_seg.nii.crdownload"])
def test_half_a_download_makes_no_case_unlabeled(tmp_path, name):
    made.write_brats_case(tmp_path, "c")
    label = tmp_path / "c/c_seg.nii.gz"
    label.rename(label.with_name(name))
    told = refusal(read, tmp_path)
    assert "by its name, it is the seg of case c, but NIfTI with an extra suffix is not supported" in told
    assert "Finish the download, or restore the file's name. Or move it away." in told


def test_a_checksum_beside_its_file_is_nothing_to_say(tmp_path):
    made.write_brats_case(tmp_path, "c")
    (tmp_path / "c/c_seg.nii.gz.md5").write_text("0" * 32)
    dataset = Brats(Brats.Options(root=tmp_path))
    assert [case.label is not None for case in dataset.cases()] == [True]
    assert dataset.notes() == ()


def test_a_folder_of_an_image_s_name_is_that_image_or_told(tmp_path):
    made.write_brats_case(tmp_path, "c")
    label = tmp_path / "c/c_seg.nii.gz"
    inner = made.save(tmp_path / "c/c_seg.nii" / "00000057_final_seg_of_it.nii.gz", made.label((0, 1, 2, 4)))
    label.unlink()
    (case,) = read(tmp_path)
    assert case.label == inner
    inner.unlink()
    assert f"{inner.parent}: it is named like an image, but is a folder without images" in refusal(read, tmp_path)


def test_a_folder_that_may_not_be_entered_is_told(tmp_path, monkeypatch):
    root, real = made.write_folder(tmp_path), Path.stat
    shut = root / "unlabeled"

    def stat(path, **options):
        if path == shut or shut in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    (problem,) = find(shut / "images").problems
    assert (problem.where, problem.what) == (str(shut / "images"), "it cannot be opened: Permission denied")
    assert f"{shut}/images: it cannot be opened: Permission denied" in refusal(read, root)


def test_a_value_that_no_label_file_can_hold_is_refused_by_init_and_by_the_recipe(tmp_path):
    root = made.write_folder(tmp_path)
    large = made.label((0, 1, 3e10), dtype=np.float64)
    made.save(root / "labeled/labels/a_1.nii.gz", large)
    assert "it has the value 30000000000, but the largest value of a class is 2147483647" in refusal(recognize, root)
    with pytest.raises(ValueError, match="a class's stored value must be at most 2147483647"):
        Folder.Options(root=root, classes={"a": 2**31})
    assert Folder.Options(root=root, classes={"a": 2**31 - 1})


def write_list(root, *images, labels=True, **manifest):
    training = []
    for number, image in enumerate(images):
        made.save(root / image, made.image(number), np.eye(4))
        label = f"labels/{number}.nii.gz"
        made.save(root / label, made.label(made.turned((0, 1, 2), number % 3)), np.eye(4))
        training.append({"image": image, "label": label})
    names = {"modality": {"0": "MR"}, "labels": {"0": "background", "1": "a", "2": "b"}} if labels else {}
    (root / "dataset.json").write_text(json.dumps({**names, "training": training, **manifest}))
    return root


@pytest.mark.parametrize(
    ("images", "ids"),
    [
        (["A/p0/i", "A/p1/i", "B/p0/i", "B/p1/i"], ["A_p0", "A_p1", "B_p0", "B_p1"]),
        (["A/c0", "A/c1", "B/c0", "B/c1"], ["A_c0", "A_c1", "B_c0", "B_c1"]),
        (["p0/ses/i", "p1/ses/i"], ["p0", "p1"]),
        (["A/c0", "B/c1"], ["c0", "c1"]),
    ],
)
def test_equal_names_are_told_apart_by_as_many_folders_as_it_takes(tmp_path, images, ids):
    root = write_list(tmp_path, *(f"{image}.nii.gz" for image in images))
    assert [case.id for case in read(root)] == ids


def test_a_listed_label_that_is_not_there_is_what_is_told_though_no_class_is_named(tmp_path):
    root = write_list(tmp_path, "a.nii.gz", "b.nii.gz", labels=False)
    (root / "labels/1.nii.gz").unlink()
    told = refusal(read, root)
    assert f"1 listed file does not exist:\n      {root}/labels/1.nii.gz" in told
    assert '"labels"' not in told
    (root / "labels/0.nii.gz").unlink()
    assert f"none of the 2 labels that it lists exists, for example {root}/labels/0.nii.gz" in refusal(read, root)


def test_an_empty_list_is_called_empty(tmp_path):
    assert '"training" is an empty list' in refusal(read, write_list(tmp_path))


def test_nnunet_is_known_by_any_image_of_its_naming(tmp_path):
    root = write_list(tmp_path, "imagesTr/a.nii.gz", "imagesTr/b.nii.gz", "imagesTr/c.nii.gz")
    (root / "labels").rename(root / "labelsTr")
    for name in "bc":
        (root / f"imagesTr/{name}.nii.gz").rename(root / f"imagesTr/{name}_0000.nii.gz")
    assert recognize(root)["name"] == "folder"
    assert "semiseg init" not in refusal(read, root)


@pytest.mark.parametrize("ending", ["nii.gz", ".nii.gz", ".NII.GZ"])
def test_channels_of_one_name_are_numbered_and_the_ending_s_dot_may_lack(tmp_path, ending):
    for number in range(2):
        made.save(tmp_path / f"imagesTr/a_{number:04d}.nii.gz", made.image(number))
    made.save(tmp_path / "labelsTr/a.nii.gz", made.label())
    manifest = {"channel_names": {"0": "MRI", "1": "MRI"}, "labels": {"background": 0, "a": 1, "b": 2}}
    (tmp_path / "dataset.json").write_text(json.dumps(manifest | {"file_ending": ending}))
    assert recognize(tmp_path)["name"] == "nnunet"
    dataset = NnUNet(NnUNet.Options(root=tmp_path))
    assert dataset.info().modalities == ("MRI_0", "MRI_1")
    assert len(dataset.cases()) == 1


def test_modalities_are_named_by_files_that_have_nothing_else_in_their_names(tmp_path):
    names = ("t1", "t1ce", "flair")
    for case in ("p0", "p1"):
        for number, name in enumerate(names):
            made.save(tmp_path / case / f"{name}.nii.gz", made.image(number), np.eye(4))
        made.save(tmp_path / case / "seg.nii.gz", made.label(), np.eye(4))
    training = [{"image": [f"{c}/{n}.nii.gz" for n in names], "label": f"{c}/seg.nii.gz"} for c in ("p0", "p1")]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": training}))
    assert recognize(tmp_path)["modalities"] == [*names]
    assert [case.id for case in read(tmp_path)] == ["p0", "p1"]


def test_new_files_of_a_case_get_the_id_that_the_case_has_in_a_list(tmp_path):
    root = write_list(tmp_path, "c_t1.nii.gz", modality={"0": "t1", "1": "t2"})
    other = made.save(root / "c_t2.nii.gz", made.image(7), np.eye(4))
    (case,) = Decathlon(Decathlon.Options(root=root)).new_cases([root / "c_t1.nii.gz", other])
    assert case.id == "c"
