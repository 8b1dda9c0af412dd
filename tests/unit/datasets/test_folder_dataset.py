"""What a newcomer has: three folders; and what is said where something in them is missing."""

from pathlib import Path

import helpers_volumes as made
import numpy as np
import pytest
from pydantic import ValidationError

from semiseg.datasets.folder import Folder
from semiseg.errors import DataError, SomeCasesError

CLASSES = {"front": 1, "back": 2}


def folder(root, **options):
    return Folder(Folder.Options(root=root, **{"classes": CLASSES, **options}))


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


def test_labeled_and_unlabeled_cases(tmp_path):
    cases = folder(made.write_folder(tmp_path)).cases()
    assert [(case.id, case.label) for case in cases] == [
        ("a_1", tmp_path / "labeled" / "labels" / "a_1.nii.gz"),
        ("a_2", tmp_path / "labeled" / "labels" / "a_2.nii.gz"),
        ("b_1", None),
    ]


def test_several_modalities_in_the_order_of_their_numbers(tmp_path):
    dataset = folder(made.write_folder(tmp_path, modalities=3), modalities=("t1", "t2", "flair"))
    assert [case.id for case in dataset.cases()] == ["a_1", "a_2", "b_1"]
    image = dataset.read_image(dataset.cases()[0]).array
    np.testing.assert_array_equal(image, [made.image(seed) for seed in range(3)])


def test_unlabeled_images_may_be_left_out(tmp_path):
    made.save(tmp_path / "labeled" / "images" / "a.nii.gz", made.image())
    made.save(tmp_path / "labeled" / "labels" / "a.nii", made.label())
    assert [case.id for case in folder(tmp_path).cases()] == ["a"]


def test_one_modality_with_numbers_as_nnunet_names_it(tmp_path):
    for case_id in ("a_0001", "b"):
        made.save(tmp_path / "labeled" / "images" / f"{case_id}_0000.nii.gz", made.image())
        made.save(tmp_path / "labeled" / "labels" / f"{case_id}.nii.gz", made.label())
    assert [case.id for case in folder(tmp_path).cases()] == ["a_0001", "b"]


def test_ids_that_end_in_four_digits_are_kept(tmp_path):
    for case_id in ("scan_0000", "scan_0001"):
        made.save(tmp_path / "labeled" / "images" / f"{case_id}.nii.gz", made.image())
        made.save(tmp_path / "labeled" / "labels" / f"{case_id}.nii.gz", made.label())
    assert [case.id for case in folder(tmp_path).cases()] == ["scan_0000", "scan_0001"]


def test_classes_are_ordered_by_value(tmp_path):
    info = folder(tmp_path, classes={"tumor": 205, "background": 0, "liver": 3}, label_map={4: 1}).info()
    assert info.classes == ("background", "liver", "tumor")
    assert info.class_values == (0, 3, 205)
    assert info.label_map == {0: 0, 3: 1, 205: 2, 4: 1}
    assert info.modalities == ("image",)
    assert "1 liver" in refusal(folder(tmp_path, classes={"liver": 3}, label_map={4: 2}).info)


def test_patients_by_a_regular_expression(tmp_path):
    root = made.write_folder(tmp_path)
    assert [case.patient for case in folder(root).cases()] == ["a_1", "a_2", "b_1"]
    assert [case.patient for case in folder(root, patient=r"(.+)_\d").cases()] == ["a", "a", "b"]
    text = refusal(folder(root, patient=r"(a)_\d").cases)
    assert "case b_1" in text
    assert "does not match its id\n    Change it" in text


@pytest.mark.parametrize(
    "options",
    [
        {"classes": {}},
        {"classes": {"background": 0}},
        {"classes": {"background": 1, "liver": 2}},
        {"classes": {"a": 1, "b": 1}},
        {"classes": {"a": 0}},
        {"patient": "(a)(b)"},
        {"patient": "a"},
        {"patient": "("},
        {"modalities": ()},
        {"modalities": ("t1", "t1")},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(ValidationError):
        folder(Path(), **options)


@pytest.mark.parametrize("made_folders", [(), ("labeled/images", "labeled/labels", "unlabeled/images"), ("labelled",)])
def test_empty_folders_show_the_tree_that_is_expected(tmp_path, made_folders):
    for name in made_folders:
        (tmp_path / name).mkdir(parents=True)
    text = refusal(folder(tmp_path).cases)
    for line in ("ROOT/labeled/images/CASE.nii.gz", "ROOT/labeled/labels/CASE.nii.gz", "ROOT/unlabeled/images"):
        assert line in text


def test_images_and_labels_without_counterpart_are_all_named(tmp_path):
    root = made.write_folder(tmp_path)
    (root / "labeled" / "labels" / "a_1.nii.gz").unlink()
    (root / "labeled" / "images" / "a_2.nii.gz").unlink()
    made.save(root / "labeled" / "labels" / "a_3.nii.gz", made.label())
    text = refusal(folder(root).cases)
    for case_id in ("a_2", "a_3"):
        assert f"{root / 'labeled' / 'labels' / case_id}.nii.gz: it has no image" in text
    assert "Images without a label: a_1." in text


def test_a_case_in_both_folders_is_refused(tmp_path):
    root = made.write_folder(tmp_path)
    made.save(root / "unlabeled" / "images" / "a_1.nii.gz", made.image())
    assert "case a_1: its id occurs more than once" in refusal(folder(root).cases)


def test_incomplete_and_unknown_modalities_are_named(tmp_path):
    root = made.write_folder(tmp_path, modalities=2)
    images = root / "labeled" / "images"
    (images / "a_1_0001.nii.gz").unlink()
    made.save(images / "a_2_0002.nii.gz", made.image())
    made.save(images / "plain.nii.gz", made.image())
    text = refusal(folder(root, modalities=("t1", "t2")).cases)
    assert "case a_1: modality _0001 (t2) is missing" in text
    assert "case a_2: there is no modality for a_2_0002.nii.gz" in text
    assert "plain.nii.gz: its name does not end in a modality number" in text


def test_where_modalities_are_wrong_no_label_is_said_to_have_no_image(tmp_path):
    text = refusal(folder(made.write_folder(tmp_path), modalities=("t1", "t2")).cases)
    assert text.count("its name does not end in a modality number") == 3
    assert "set dataset.modalities to one name" in text
    assert "it has no image" not in text
    for path in (*tmp_path.rglob("images/*"),):
        path.rename(path.with_name(path.name.replace(".nii", "_0000.nii")))
    text = refusal(folder(tmp_path, modalities=("t1", "t2")).cases)
    assert text.count("modality _0001 (t2) is missing") == 3
    assert "Or set dataset.modalities to those that all cases have" in text
    assert "it has no image" not in text


def test_a_label_is_not_lost_behind_another_case_s_number(tmp_path):
    root = made.write_folder(tmp_path, modalities=2)
    labels = root / "labeled" / "labels"
    (labels / "a_1.nii.gz").rename(labels / "a_3_0000.nii.gz")
    dataset = folder(root, modalities=("t1", "t2"))
    text = refusal(dataset.cases)
    assert "a_3_0000.nii.gz: it has no image" in text
    assert "Images without a label: a_1." in text
    (labels / "a_3_0000.nii.gz").rename(labels / "a_1_0000.nii.gz")
    assert dataset.cases()[0].label == labels / "a_1_0000.nii.gz"  # named like the first modality
    assert "labels named like a modality are read as those of their cases: a_1_0000.nii.gz" in dataset.notes()


def test_an_undeclared_value_may_become_a_class_or_be_counted_as_one(tmp_path):
    dataset = folder(made.write_folder(tmp_path), classes={"front": 1})
    text = refusal(dataset.read_label, dataset.cases()[0])
    assert "values that belong to no class: 2 (" in text
    own, existing = text.index("classes: {NAME: 2}"), text.index("label_map: {2: INDEX}")
    assert own < existing
    made.save(tmp_path / "labeled" / "labels" / "a_1.nii.gz", made.label((0, -1), dtype=np.int16))
    text = refusal(dataset.read_label, dataset.cases()[0])
    assert "NAME" not in text  # a class has a value of 1 or more
    assert "label_map: {-1: INDEX}" in text


def test_the_same_image_in_two_forms_is_refused(tmp_path):
    root = made.write_folder(tmp_path)
    made.save(root / "labeled" / "images" / "a_1.nii", made.image())
    assert "more than one file for image: a_1.nii, a_1.nii.gz" in refusal(folder(root).cases)


def test_every_label_in_two_forms_is_refused(tmp_path):
    root = made.write_folder(tmp_path)
    for name in ("a_1", "a_2", "nobody"):
        made.save(root / "labeled" / "labels" / f"{name}.nii", made.label())
    made.save(root / "labeled" / "labels" / "nobody.nii.gz", made.label())
    text = refusal(folder(root).cases)
    assert "case a_1: more than one label: a_1.nii, a_1.nii.gz" in text
    assert "case a_2: more than one label: a_2.nii, a_2.nii.gz" in text
    assert text.count("it has no image") == 2


def test_names_that_are_unsafe_are_refused(tmp_path):
    root = made.write_folder(tmp_path)
    made.save(root / "unlabeled" / "images" / "my\tscan.nii.gz", made.image())
    assert r"'my\tscan'" in refusal(folder(root).cases)


class TestNewCases:
    def test_a_folder_of_several_cases(self, tmp_path):
        dataset = folder(tmp_path, modalities=("t1", "t2"))
        for name in ("x_0000", "x_0001", "y_0000", "y_0001"):
            made.save(tmp_path / "new" / f"{name}.nii.gz", made.image())
        cases = dataset.new_cases([tmp_path / "new"])
        assert [case.id for case in cases] == ["x", "y"]
        assert [path.name for path in cases[0].images] == ["x_0000.nii.gz", "x_0001.nii.gz"]
        (tmp_path / "new" / "y_0001.nii.gz").unlink()
        for name in ("z_0000", "z_0001", "z_0002", "plain"):
            made.save(tmp_path / "new" / f"{name}.nii.gz", made.image())
        with pytest.raises(SomeCasesError) as caught:
            dataset.new_cases([tmp_path / "new"])
        assert [case.id for case in caught.value.cases] == ["x"]
        text = str(caught.value)
        assert "case y: modality _0001 (t2) is missing\n    The model needs y_0000 (t1), y_0001 (t2). Add it" in text
        assert "case z: there is no modality for z_0002.nii.gz" in text
        assert "plain.nii.gz: its name does not end in a modality number" in text
        assert "dataset.modalities" not in text  # predict has no such key
        (tmp_path / "new" / "x_0001.nii.gz").unlink()
        assert "case x: modality" in refusal(dataset.new_cases, [tmp_path / "new"])

    def test_files_in_order_and_in_a_wrong_one(self, tmp_path):
        dataset = folder(tmp_path, modalities=("t1", "t2"))
        files = [made.save(tmp_path / f"x_{i:04d}.nii.gz", made.image(i)) for i in range(3)]
        assert dataset.new_cases(files[:2])[0].id == "x"
        assert "by its name, this is t2, but t1 is expected" in refusal(dataset.new_cases, files[1::-1])
        assert "by its name, this is 0002, but t2 is expected" in refusal(dataset.new_cases, files[::2])

    def test_one_modality(self, tmp_path):
        dataset = folder(tmp_path)
        for name in ("x.nii.gz", "y_0000.nii.gz", "z_0001.nii.gz"):
            assert len(dataset.new_cases([made.save(tmp_path / "new" / name, made.image())])) == 1
        assert [c.id for c in dataset.new_cases([tmp_path / "new"])] == ["x", "y_0000", "z_0001"]
        assert dataset.new_cases([tmp_path / "new" / "y_0000.nii.gz"])[0].id == "y"

    def test_an_empty_folder_and_a_file_that_is_no_image(self, tmp_path):
        (tmp_path / "new").mkdir()
        (tmp_path / "notes.txt").touch()
        assert "it contains no images" in refusal(folder(tmp_path).new_cases, [tmp_path / "new"])
        assert "it is not a volume or picture" in refusal(folder(tmp_path).new_cases, [tmp_path / "notes.txt"])
