"""dataset.json in its forms, and what is said about one that is wrong."""

import json

import helpers_volumes as made
import numpy as np
import pytest

from semiseg.datasets.decathlon import Decathlon
from semiseg.errors import DataError


def decathlon(root, **options):
    return Decathlon(Decathlon.Options(root=root, **options))


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


def test_training_and_unlabeled_cases(tmp_path):
    cases = decathlon(made.write_decathlon(tmp_path)).cases()
    assert [(case.id, case.label is not None) for case in cases] == [
        ("part_0", True),
        ("part_1", True),
        ("part_2", False),
    ]
    assert cases[2].images == (tmp_path / "imagesUn" / "part_2.nii.gz",)


def test_unlabeled_images_may_be_left_out_or_be_objects(tmp_path):
    root = made.write_decathlon(tmp_path / "none", unlabeled=None)
    assert len(decathlon(root).cases()) == 2
    root = made.write_decathlon(tmp_path / "objects", unlabeled=[{"image": "imagesUn/part_2.nii.gz"}])
    assert len(decathlon(root).cases()) == 3


@pytest.mark.parametrize(
    "labels",
    [
        {"0": "background", "1": "front", "2": "back"},
        {"2": "back", "1": "front"},
        {"background": 0, "front": 1, "back": 2},
        {"back": 2, "front": 1},
    ],
)
def test_labels_in_either_direction(tmp_path, labels):
    info = decathlon(made.write_decathlon(tmp_path, labels=labels)).info()
    assert info.name == "Parts"
    assert info.classes == ("background", "front", "back")
    assert info.label_map == {0: 0, 1: 1, 2: 2}
    assert info.class_values == (0, 1, 2)


def test_values_with_gaps_become_indices_without(tmp_path):
    dataset = decathlon(made.write_decathlon(tmp_path, labels={"heart": 205, "aorta": 820}), label_map={1: 1, 2: 2})
    info = dataset.info()
    assert info.classes == ("background", "heart", "aorta")
    assert info.class_values == (0, 205, 820)
    assert info.label_map == {0: 0, 205: 1, 820: 2, 1: 1, 2: 2}
    np.testing.assert_array_equal(dataset.read_label(dataset.cases()[0]).array, made.label())


def test_channel_names_of_nnunet_and_their_order(tmp_path):
    names = {str(i): f"m{i}" for i in (10, 2, 0)}
    root = made.write_decathlon(tmp_path, modality=None, channel_names=names)
    assert decathlon(root).info().modalities == ("m0", "m2", "m10")


def test_several_modalities_in_one_file(tmp_path):
    dataset = decathlon(made.write_decathlon(tmp_path, channels=2))
    image = dataset.read_image(dataset.cases()[0]).array
    np.testing.assert_array_equal(image, np.moveaxis(made.image(0, np.float32, (*made.SHAPE, 2)), -1, 0))


def test_all_missing_files_are_listed(tmp_path):
    root = made.write_decathlon(tmp_path)
    for name in ("imagesTr/part_0.nii.gz", "labelsTr/part_1.nii.gz", "imagesUn/part_2.nii.gz"):
        (root / name).unlink()
    text = refusal(decathlon(root).cases)
    assert "3 files" in text
    for name in ("imagesTr/part_0.nii.gz", "labelsTr/part_1.nii.gz", "imagesUn/part_2.nii.gz"):
        assert str(root / name) in text


def test_a_case_that_is_listed_twice_is_refused(tmp_path):
    root = made.write_decathlon(tmp_path, unlabeled=["./imagesTr/part_1.nii.gz"])
    assert "case part_1: its id occurs more than once" in refusal(decathlon(root).cases)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"modality": None}, '"modality"'),
        ({"modality": {}}, '"modality"'),
        ({"modality": ["MRI"]}, '"modality"'),
        ({"labels": None}, '"labels"'),
        ({"labels": {"whole": [1, 2]}}, '"labels"'),
        ({"labels": {"a": 1, "b": 1}}, '"labels"'),
        ({"labels": {"1": "a", "2": "a"}}, '"labels"'),
        ({"labels": {"1": "a", "01": "b"}}, '"labels"'),
        ({"labels": {"0": "background", "1": "background"}}, '"labels"'),
        ({"labels": {"0": "background"}}, '"labels"'),
        ({"labels": {"\u00b2": "a"}}, '"labels"'),
        ({"modality": {"\u00b2": "MRI"}}, '"modality"'),
        ({"training": None}, '"training"'),
        ({"training": [{"image": "a.nii.gz"}]}, '"training"'),
        ({"unlabeled": [3]}, '"unlabeled"'),
    ],
)
def test_what_is_wrong_in_dataset_json_is_named(tmp_path, changes, key):
    root = made.write_decathlon(tmp_path, **changes)
    text = refusal(decathlon(root).cases)
    assert str(root / "dataset.json") in text
    assert key in text
    assert key in refusal(decathlon(root).info)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    root = made.write_decathlon(tmp_path, modality=None, labels=None, training=None)
    assert "3 problems" in refusal(decathlon(root).info)


@pytest.mark.parametrize(("content", "word"), [('{"name": ', "JSON"), ("[]", "JSON object"), (b"\xff\xfe", "JSON")])
def test_a_file_that_is_no_json(tmp_path, content, word):
    path = tmp_path / "dataset.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert word in refusal(decathlon(tmp_path).info)


def test_no_folder_and_no_file(tmp_path):
    assert "no such folder" in refusal(decathlon(tmp_path / "nowhere").cases)
    assert "dataset.json: there is no such file" in refusal(decathlon(tmp_path).cases)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    root = made.write_decathlon(tmp_path)
    manifest = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(manifest), encoding="utf-8-sig")
    assert len(decathlon(root).cases()) == 3


class TestNewCases:
    def test_a_folder_of_images(self, tmp_path):
        dataset = decathlon(made.write_decathlon(tmp_path))
        for name in ("x.nii.gz", "._x.nii.gz"):
            made.save(tmp_path / "new" / name, made.image())
        (case,) = dataset.new_cases([tmp_path / "new"])
        assert (case.id, case.label) == ("x", None)

    def test_a_wrong_number_of_modalities_is_refused_before_prediction(self, tmp_path):
        dataset = decathlon(made.write_decathlon(tmp_path, channels=2))
        for name in ("x", "y"):
            made.save(tmp_path / "new" / f"{name}.nii.gz", made.image())
        text = refusal(dataset.new_cases, [tmp_path / "new"])
        assert "2 problems" in text
        assert "MR0, MR1" in text

    def test_one_file_a_modality_is_taken_too(self, tmp_path):
        dataset = decathlon(made.write_decathlon(tmp_path, channels=2))
        files = [made.save(tmp_path / "new" / f"{i}.nii.gz", made.image(i)) for i in range(2)]
        (case,) = dataset.new_cases(files)
        np.testing.assert_array_equal(dataset.read_image(case).array, [made.image(0), made.image(1)])
