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
    assert "3 listed files" in text
    for name in ("imagesTr/part_0.nii.gz", "labelsTr/part_1.nii.gz", "imagesUn/part_2.nii.gz"):
        assert str(root / name) in text


def test_of_many_missing_files_some_are_named(tmp_path):
    names = [f"./imagesTr/lost_{number:02d}.nii.gz" for number in range(30)]
    text = refusal(decathlon(made.write_decathlon(tmp_path, unlabeled=names)).cases)
    assert "30 listed files do not exist" in text
    assert "lost_09.nii.gz\n      … and 20 others" in text
    assert "lost_10" not in text
    assert "the list must name only that part's files" in text


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
    assert "folder not found" in refusal(decathlon(tmp_path / "nowhere").cases)
    assert "dataset.json: file not found" in refusal(decathlon(tmp_path).cases)


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

    def test_a_wrong_number_of_modalities_stops_no_other_case_and_is_in_the_header(self, tmp_path):
        dataset = decathlon(made.write_decathlon(tmp_path, channels=2))
        made.save(tmp_path / "new" / "x.nii.gz", made.image())
        made.save(tmp_path / "new" / "y.nii.gz", made.image(shape=(*made.SHAPE, 2)))
        wrong, right = dataset.new_cases([tmp_path / "new"])
        assert "MR0, MR1" in refusal(dataset.read_geometry, wrong)
        assert dataset.read_geometry(right).shape == made.SHAPE

    def test_one_file_a_modality_is_taken_too(self, tmp_path):
        dataset = decathlon(made.write_decathlon(tmp_path, channels=2))
        files = [made.save(tmp_path / "new" / f"{i}.nii.gz", made.image(i)) for i in range(2)]
        (case,) = dataset.new_cases(files)
        np.testing.assert_array_equal(dataset.read_image(case).array, [made.image(0), made.image(1)])


def with_test_images(root, *names, **changes):
    """A dataset whose dataset.json lists imagesTs/part_9, with these files in imagesTs."""
    made.write_decathlon(root, **changes)
    for name in names:
        made.save(root / "imagesTs" / f"{name}.nii.gz", made.image(9, np.float32), np.eye(4))
    return root


class TestTestImages:
    def test_by_default_they_are_left_out_and_it_is_said(self, tmp_path):
        root = with_test_images(tmp_path, "part_9", "part_8")
        dataset = decathlon(root)
        assert [case.id for case in dataset.cases()] == ["part_0", "part_1", "part_2"]
        assert dataset.notes() == (
            "2 test images are left out; set dataset.test_images=unlabeled to use them as unlabeled cases",
            "1 test image is in imagesTs, but not listed in dataset.json: part_8.nii.gz",
        )

    def test_they_are_unlabeled_cases_listed_or_not_each_once(self, tmp_path):
        root = with_test_images(tmp_path, "part_9", "part_8", test=[{"image": "./imagesTs/part_9.nii.gz"}])
        (root / "imagesTs" / "._part_9.nii.gz").write_bytes(b"of macOS")
        dataset = decathlon(root, test_images="unlabeled")
        labels = {case.id: case.label is not None for case in dataset.cases()}
        assert labels == {"part_0": True, "part_1": True, "part_2": False, "part_8": False, "part_9": False}
        assert dataset.notes()[0] == (
            "2 test images are counted as unlabeled cases; set dataset.test_images=exclude to leave them out"
        )

    def test_hidden_files_that_are_listed_are_no_images(self, tmp_path):
        root = with_test_images(tmp_path, "part_9", test=["imagesTs/part_9.nii.gz", "imagesTs/._part_9.nii.gz"])
        assert len(decathlon(root, test_images="unlabeled").cases()) == 4

    def test_those_that_are_listed_as_unlabeled_already_are_not_taken_twice(self, tmp_path):
        root = with_test_images(tmp_path, "part_9", unlabeled=["imagesTs/../imagesTs/part_9.nii.gz"])
        assert [case.id for case in decathlon(root, test_images="unlabeled").cases()] == ["part_0", "part_1", "part_9"]
        assert decathlon(root).notes() == ()

    def test_several_modalities_in_one_file(self, tmp_path):
        root = made.write_decathlon(tmp_path, channels=2)
        image = made.image(9, np.float32, (*made.SHAPE, 2))
        made.save(root / "imagesTs" / "part_9.nii.gz", image, np.eye(4))
        dataset = decathlon(root, test_images="unlabeled")
        found = dataset.read_image(dataset.cases()[-1]).array
        np.testing.assert_array_equal(found, np.moveaxis(image, -1, 0))

    def test_missing_ones_are_named_together_with_all_others(self, tmp_path):
        root = with_test_images(tmp_path, "part_7")
        (root / "imagesTr" / "part_0.nii.gz").unlink()
        text = refusal(decathlon(root, test_images="unlabeled").cases)
        assert "2 listed files do not exist" in text
        assert f"{root}/imagesTr/part_0.nii.gz\n      {root}/imagesTs/part_9.nii.gz\n" in text
        assert text.endswith("set dataset.test_images=exclude to leave the test images out.")
        assert "exclude" not in refusal(decathlon(root).cases)
        assert decathlon(root).notes()[-1] == ("1 test image listed in dataset.json does not exist: part_9.nii.gz")

    def test_one_with_the_id_of_a_training_case_is_refused(self, tmp_path):
        root = with_test_images(tmp_path, "part_1", "part_9")
        assert "case part_1: its id occurs more than once" in refusal(decathlon(root, test_images="unlabeled").cases)
        assert len(decathlon(root).cases()) == 3

    def test_what_test_holds_matters_only_where_it_is_read(self, tmp_path):
        root = made.write_decathlon(tmp_path, test=130)
        assert len(decathlon(root).cases()) == 3
        assert '"test" is not a list of images' in refusal(decathlon(root, test_images="unlabeled").cases)

    def test_where_there_are_none_the_option_says_so(self, tmp_path):
        dataset = decathlon(made.write_decathlon(tmp_path, test=None), test_images="unlabeled")
        assert len(dataset.cases()) == 3
        assert dataset.notes() == (
            "dataset.test_images is unlabeled, but dataset.json lists no test images, and imagesTs has none",
        )
        assert decathlon(tmp_path).notes() == ()

    def test_recipes_and_runs_without_the_key_resolve_as_they_did(self, tmp_path):
        """A key more at its default would be another recipe hash, and no older run could go on."""
        written = decathlon(tmp_path).options.model_dump(mode="json")
        assert written == {"label_map": {}, "root": str(tmp_path)}
        assert decathlon(tmp_path, test_images="unlabeled").options.model_dump()["test_images"] == "unlabeled"
