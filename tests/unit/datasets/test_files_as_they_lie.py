"""The files of every dataset as they lie on a disk: linked, not fetched, of other endings; none vanishes in silence."""

import json
import os

import helpers_volumes as made
import numpy as np
import pytest

from semiseg.datasets.brats import Brats
from semiseg.datasets.decathlon import Decathlon
from semiseg.datasets.folder import Folder
from semiseg.datasets.la2018 import LA2018
from semiseg.datasets.nnunet import NnUNet
from semiseg.errors import DataError
from semiseg.init.recognize import recognize
from semiseg.types import IGNORED

READ = {"brats": Brats, "la2018": LA2018, "folder": Folder, "decathlon": Decathlon, "nnunet": NnUNet}


def read(root):
    """The dataset that ``semiseg init`` would write a recipe for."""
    block = recognize(root)
    cls = READ[block.pop("name")]
    return cls(cls.Options(**block))


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


@pytest.mark.parametrize("write", [made.write_brats, made.write_brats_2023, made.write_la2018])
def test_linked_folders_of_cases_are_cases(tmp_path, write):
    write(tmp_path / "store")
    (tmp_path / "linked").mkdir()
    for path in sorted((tmp_path / "store").iterdir()):
        (tmp_path / "linked" / path.name).symlink_to(path)
    found, expected = read(tmp_path / "linked").cases(), read(tmp_path / "store").cases()
    assert [(case.id, case.label is None) for case in found] == [(case.id, case.label is None) for case in expected]
    assert found


def break_links(*paths):
    for path in paths:
        path.unlink()
        path.symlink_to("annex/objects/not-fetched")


def test_a_label_that_is_not_fetched_leaves_no_case_unlabeled(tmp_path):
    made.write_brats(tmp_path / "brats")
    labels = sorted((tmp_path / "brats").rglob("*_seg.nii.gz"))[:2]
    break_links(*labels)
    told = refusal(read(tmp_path / "brats").cases)
    assert "2 broken links: " in told
    assert all(str(path.relative_to(tmp_path / "brats")) in told for path in labels)
    made.write_folder(tmp_path / "mine")
    break_links(tmp_path / "mine/unlabeled/images/b_1.nii.gz", tmp_path / "mine/labeled/labels/a_1.nii.gz")
    told = refusal(Folder(Folder.Options(root=tmp_path / "mine", classes={"a": 1})).cases)
    assert "/labeled/labels: 1 broken link: a_1.nii.gz" in told
    assert "/unlabeled/images: 1 broken link: b_1.nii.gz" in told
    assert "has no label" not in told
    made.write_la2018(tmp_path / "la")
    break_links(next((tmp_path / "la").rglob("*.h5")))
    assert "1 broken link" in refusal(read(tmp_path / "la").cases)


@pytest.mark.parametrize("write", [made.write_brats, made.write_la2018, made.write_folder])
def test_endings_are_compared_without_case(tmp_path, write):
    expected = [case.id for case in read(write(tmp_path / "lower")).cases()]
    write(tmp_path / "UPPER")
    for number, path in enumerate(sorted(path for path in (tmp_path / "UPPER").rglob("*") if path.is_file())):
        stem, dot, ending = path.name.partition(".")
        if number % 2 == 0:
            path.rename(path.with_name(stem + dot + ending.upper()))
    dataset = read(tmp_path / "UPPER")
    assert [case.id for case in dataset.cases()] == expected
    for case in dataset.cases():
        assert dataset.read_image(case).array.any()
        assert case.label is None or dataset.read_label(case).array.any()
    (new, *_) = dataset.new_cases([dataset.cases()[0].images[0].parent])
    assert new.id == expected[0]


def test_modalities_of_brats_are_named_in_either_case(tmp_path):
    folder = made.write_brats_case(tmp_path, "A")
    (folder / "A_t1ce.nii.gz").rename(folder / "A_T1CE.nii.gz")
    (folder / "A_seg.nii.gz").rename(folder / "A_Seg.nii.gz")
    (case,) = read(tmp_path).cases()
    assert (case.images[1].name, case.label.name) == ("A_T1CE.nii.gz", "A_Seg.nii.gz")


def test_a_label_of_another_format_leaves_no_case_unlabeled(tmp_path):
    folder = made.write_brats_case(tmp_path / "brats", "A")
    (folder / "A_seg.nii.gz").rename(folder / "A_seg.mgz")
    told = refusal(read(tmp_path / "brats").cases)
    assert told.startswith(
        f"{folder / 'A_seg.mgz'}: by its name, it is the seg of case A, but FreeSurfer is not supported\n"
    )
    assert "SimpleITK" in told
    labels = made.write_folder(tmp_path / "mine") / "labeled" / "labels"
    (labels / "a_1.nii.gz").rename(labels / "a_1.mgz")
    told = refusal(Folder(Folder.Options(root=tmp_path / "mine", classes={"a": 1})).cases)
    assert f"{labels}: there are labels in unsupported formats: FreeSurfer (a_1.mgz)" in told


@pytest.mark.parametrize(("ending", "named"), [(".mnc", "MINC"), (".img", "Analyze"), (".BMP", "pictures")])
def test_other_formats_are_named_with_how_to_convert_them(tmp_path, ending, named):
    (tmp_path / "images").mkdir()
    for name in "abcde":
        (tmp_path / "images" / f"{name}{ending}").touch()
    told = refusal(recognize, tmp_path)
    assert told.startswith(f"{tmp_path}: there are no images in it, but {named} (images/a{ending}, ")
    assert "dcm2niix" in told
    (tmp_path / "images").rename(tmp_path / "new")
    dataset = Folder(Folder.Options(root=tmp_path, classes={"a": 1}))
    assert f"but {named} (a{ending}, " in refusal(dataset.new_cases, [tmp_path / "new"])


def test_what_is_seen_and_not_read_is_noted(tmp_path):
    root = made.write_folder(tmp_path)
    (root / "unlabeled" / "images" / "c.mgz").touch()
    (root / "unlabeled" / "images" / "._b_1.nii.gz").touch()
    made.save(root / "labeled" / "images" / "old" / "a_0.nii.gz", made.image())
    dataset = read(root)
    assert [case.id for case in dataset.cases()] == ["a_1", "a_2", "b_1"]
    assert dataset.notes() == (
        f"{root}/labeled/images: 1 file is in subfolders and not read: old/a_0.nii.gz",
        f"{root}/unlabeled/images: 1 image file is of an unsupported format: c.mgz",
        f"{root}/unlabeled/images: 1 hidden file is skipped: ._b_1.nii.gz",
    )


@pytest.mark.parametrize("british", [["unlabeled"], ["labeled"], ["labeled", "unlabeled"]])
def test_british_spelling_is_understood(tmp_path, british):
    made.write_folder(tmp_path)
    for name in british:
        (tmp_path / name).rename(tmp_path / name.replace("labeled", "labelled"))
    cases = read(tmp_path).cases()
    assert [(case.id, case.label is None) for case in cases] == [("a_1", False), ("a_2", False), ("b_1", True)]


def test_names_of_every_kind_are_ids(tmp_path):
    name = "Patient 01 (post) + Müller, [2]"
    made.write_folder(tmp_path)
    for part in ("images", "labels"):
        folder = tmp_path / "labeled" / part
        (folder / "a_1.nii.gz").rename(folder / f"{name}.nii.gz")
    dataset = read(tmp_path)
    case = dataset.cases()[0]
    assert (case.id, case.label.name) == (name, f"{name}.nii.gz")
    assert dataset.read_label(case).array.any()


def write_nnunet(root, channels=1, tests=2, **manifest):
    for number in range(3):
        for channel in range(channels):
            made.save(root / "imagesTr" / f"x_{number}_{channel:04d}.nii.gz", made.image(number))
        made.save(root / "labelsTr" / f"x_{number}.nii.gz", made.label())
    for number in range(tests):
        for channel in range(channels):
            made.save(root / "imagesTs" / f"t_{number}_{channel:04d}.nii.gz", made.image(number))
    (root / "dataset.json").write_text(json.dumps(manifest))
    return root


V2 = {"labels": {"background": 0, "liver": 1, "tumor": 2}, "numTraining": 3, "file_ending": ".nii.gz"}


def test_nnunet_v2_keeps_its_names_and_its_test_images_are_unlabeled(tmp_path):
    channels = {"1": "PET", "0": "CT"}
    dataset = read(write_nnunet(tmp_path, channels=2, channel_names=channels, **V2))
    assert dataset.info().classes == ("background", "liver", "tumor")
    assert dataset.info().modalities == ("CT", "PET")
    cases = dataset.cases()
    assert [(case.id, case.label is None) for case in cases] == [
        ("t_0", True),
        ("t_1", True),
        ("x_0", False),
        ("x_1", False),
        ("x_2", False),
    ]
    np.testing.assert_array_equal(dataset.read_label(cases[2]).array, made.label())
    said = "imagesTs: 2 images are counted as unlabeled cases; set dataset.test_images=exclude to leave them out"
    assert dataset.notes() == (said,)


@pytest.mark.parametrize("channels", [1, 2])
def test_nnunet_v1_lists_images_without_their_numbers(tmp_path, channels):
    training = [{"image": f"./imagesTr/x_{i}.nii.gz", "label": f"./labelsTr/x_{i}.nii.gz"} for i in range(3)]
    names = {str(number): f"MR{number}" for number in range(channels)}
    labels = {"0": "background", "1": "liver", "2": "tumor"}
    root = write_nnunet(tmp_path, channels, modality=names, labels=labels, training=training, test=[])
    dataset = read(root)
    assert dataset.info().classes == ("background", "liver", "tumor")
    assert dataset.info().modalities == tuple(names.values())
    assert [case.id for case in dataset.cases() if case.label] == ["x_0", "x_1", "x_2"]
    told = refusal(Decathlon(Decathlon.Options(root=root)).cases)
    assert "But x_0_0000.nii.gz exists, named as in nnU-Net\n" in told
    assert f"semiseg init {root}" in told


def test_nnunet_s_test_images_that_have_labels_are_left_to_be_tested_by(tmp_path):
    root = write_nnunet(tmp_path, channel_names={"0": "CT"}, **V2)
    made.save(root / "labelsTs" / "t_0.nii.gz", made.label())
    dataset = read(root)
    assert [case.id for case in dataset.cases()] == ["x_0", "x_1", "x_2"]
    said = "imagesTs: 2 images are left out; set dataset.test_images=unlabeled to use them as unlabeled cases"
    assert dataset.notes() == (said,)


def test_the_label_named_ignore_in_dataset_json_is_ignored(tmp_path):
    labels = {"background": 0, "a": 1, "b": 2, "ignore": 3}
    write_nnunet(tmp_path / "nnunet", **{"channel_names": {"0": "CT"}, **V2, "labels": labels})
    info = read(tmp_path / "nnunet").info()
    assert (info.classes, info.ignore) == (("background", "a", "b"), 3)
    for names in (labels, {"0": "background", "1": "a", "2": "b", "3": "Ignore"}):
        root = made.write_decathlon(tmp_path / "decathlon", labels=names)
        made.save(root / "labelsTr" / "part_0.nii.gz", made.label((0, 1, 2, 3)), np.eye(4))
        dataset = Decathlon(Decathlon.Options(root=root))
        assert (dataset.info().classes, dataset.info().ignore) == (("background", "a", "b"), 3)
        expected = made.label((0, 1, 2, IGNORED))
        np.testing.assert_array_equal(dataset.read_label(dataset.cases()[0]).array, expected)
        two = Decathlon(Decathlon.Options(root=root, ignore=4))
        assert "4 is to be ignored, but in dataset.json the label ignore has the value 3" in refusal(two.info)
        only = Decathlon(Decathlon.Options(root=made.write_decathlon(tmp_path / "no", labels={"ignore": 1})))
        assert '"labels" is missing or invalid' in refusal(only.info)


def test_nnunet_images_of_another_format_are_named_though_dataset_json_does_not(tmp_path):
    root = write_nnunet(tmp_path, channel_names={"0": "CT"}, labels=V2["labels"])
    for path in (root / "imagesTr").iterdir():
        path.rename(path.with_name(path.name.replace(".nii.gz", ".mgz")))
    assert (
        "there are no .nii.gz images with labels in imagesTr and labelsTr, but FreeSurfer (x_0_0000.mgz, "
        in refusal(read(root).cases)
    )


def test_a_list_of_monai_may_give_a_file_for_each_modality(tmp_path):
    root = made.write_decathlon(tmp_path)
    images = [[f"imagesTr/part_{i}.nii.gz", f"more/part_{i}.nii.gz"] for i in range(3)]
    for i in (0, 1):
        made.save(root / "more" / f"part_{i}.nii.gz", made.image(5 + i), np.eye(4))
    training = [{"fold": i, "image": images[i], "label": f"labelsTr/part_{i}.nii.gz"} for i in (0, 1)]
    manifest = json.loads((root / "dataset.json").read_text())
    manifest |= {"modality": {"0": "a", "1": "b"}, "training": training, "unlabeled": [], "test": []}
    manifest["validation"] = [{"image": "x.nii.gz", "label": "y.nii.gz"}]
    (root / "dataset.json").write_text(json.dumps(manifest))
    dataset = read(root)
    image = dataset.read_image(dataset.cases()[1]).array
    np.testing.assert_array_equal(image, [made.image(1), made.image(6)])
    assert dataset.notes() == ('dataset.json lists 1 case under "validation", which are not read',)


def test_equal_names_in_a_folder_each_are_told_apart_by_their_folders(tmp_path):
    training = []
    for name in ("p1", "p2"):
        made.save(tmp_path / name / "image.nii.gz", made.image())
        made.save(tmp_path / name / "label.nii.gz", made.label())
        training.append({"image": f"{name}/image.nii.gz", "label": f"{name}/label.nii.gz"})
    manifest = {"modality": {"0": "MR"}, "labels": {"0": "background", "1": "a", "2": "b"}, "training": training}
    (tmp_path / "dataset.json").write_text(json.dumps(manifest))
    dataset = read(tmp_path)
    assert [case.id for case in dataset.cases()] == ["p1", "p2"]
    assert dataset.notes() == ()


def bare_list(root, images, **manifest):
    """Two cases of these images each, in a list that names neither modalities nor classes."""
    training = []
    for case in ("x1", "x2"):
        paths = [str(image).format(case) for image in images]
        for number, path in enumerate(paths):
            made.save(root / path, made.image(number), np.eye(4))
        label = f"labels/{case}.nii.gz"
        made.save(root / label, made.label((0, 1, 4)), np.eye(4))
        training.append({"fold": 0, "image": paths if len(paths) > 1 else paths[0], "label": label})
    (root / "dataset.json").write_text(json.dumps({"training": training} | manifest))
    return root


@pytest.mark.parametrize(
    ("images", "modalities"),
    [
        (["{0}/{0}_flair.nii.gz", "{0}/{0}_t1ce.nii.gz", "{0}/{0}_t1.nii.gz"], ("flair", "t1ce", "t1")),
        (["i/{0}_t1.nii.gz", "i/{0}_t1ce.nii.gz"], ("t1", "t1ce")),
        (["i/{0}_0000.nii.gz", "i/{0}_0001.nii.gz"], ("modality_0", "modality_1")),
        (["a/{0}.nii.gz", "b/{0}.nii.gz"], ("modality_0", "modality_1")),
        (["i/{0}.nii.gz"], ("image",)),
    ],
)
def test_a_list_that_names_neither_modalities_nor_classes_gets_names_that_the_recipe_may_change(
    tmp_path, images, modalities
):
    dataset = read(bare_list(tmp_path, images))
    info = dataset.info()
    assert (info.modalities, info.classes) == (modalities, ("background", "class_1", "class_4"))
    first, second = dataset.cases()
    assert [first.id, second.id] == ["x1", "x2"]
    np.testing.assert_array_equal(dataset.read_image(first).array, [made.image(i) for i in range(len(images))])
    assert set(np.unique(dataset.read_label(first).array)) == {0, 1, 2}
    named = Decathlon(Decathlon.Options(root=tmp_path, modalities=modalities, classes={"tumor": 4, "edema": 1}))
    assert named.info().classes == ("background", "edema", "tumor")


def test_modalities_of_one_file_along_a_last_axis_are_counted(tmp_path):
    root = bare_list(tmp_path, ["i/{0}.nii.gz"])
    for case in ("x1", "x2"):
        made.save(root / f"i/{case}.nii.gz", np.stack([made.image(0), made.image(1)], -1), np.eye(4))
    dataset = read(root)
    assert dataset.info().modalities == ("modality_0", "modality_1")
    assert dataset.read_image(dataset.cases()[0]).array.shape[0] == 2


def test_what_dataset_json_names_in_a_wrong_way_is_told_and_not_replaced(tmp_path):
    root = bare_list(tmp_path, ["i/{0}.nii.gz"], modality=["MR"], labels={"a": [1]})
    text = refusal(read(root).info)
    assert '"modality" is missing or invalid' in text
    assert '"labels" is missing or invalid' in text


def test_hidden_and_unlisted_files_of_a_decathlon_are_noted(tmp_path):
    root = made.write_decathlon(tmp_path, test=[])
    manifest = json.loads((root / "dataset.json").read_text())
    manifest["training"].append({"image": "imagesTr/._part_0.nii.gz", "label": "labelsTr/part_0.nii.gz"})
    (root / "dataset.json").write_text(json.dumps(manifest))
    made.save(root / "imagesTr" / "part_7.nii.gz", made.image())
    dataset = read(root)
    assert [case.id for case in dataset.cases()] == ["part_0", "part_1", "part_2"]
    assert dataset.notes() == (
        "dataset.json lists 1 hidden file, skipped: ._part_0.nii.gz",
        f"{root}/imagesTr: 1 image is not listed in dataset.json and not read: part_7.nii.gz",
    )


def test_folders_that_cannot_be_opened_are_told_by_init(tmp_path, monkeypatch):
    made.write_brats(tmp_path)
    real, shut = os.scandir, sorted(path for path in tmp_path.iterdir() if path.is_dir())[0]

    def scandir(place):
        if str(place) == str(shut):
            raise PermissionError(13, "Permission denied", str(place))
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    assert f"{shut}: it cannot be opened: Permission denied" in refusal(read(tmp_path).cases)
