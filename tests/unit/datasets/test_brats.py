"""BraTS files as people have them: both namings, folders or flat, with the flaws of the published sets."""

import os
import shutil
from pathlib import Path

import helpers_volumes as made
import numpy as np
import pytest
from pydantic import ValidationError

from semiseg.datasets.brats import Brats
from semiseg.errors import DataError
from semiseg.io.nifti import read_nifti


def brats(root, **options):
    return Brats(Brats.Options(root=root, **options))


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


def test_folders_at_any_depth_and_unlabeled_cases(tmp_path):
    cases = brats(made.write_brats(tmp_path)).cases()
    assert [case.id for case in cases] == ["BraTS_00", "BraTS_01", "BraTS_02", "BraTS_09"]
    assert [path.name for path in cases[0].images] == [f"BraTS_00_{m}.nii.gz" for m in ("t1", "t1ce", "t2", "flair")]
    assert cases[0].label.name == "BraTS_00_seg.nii.gz"
    assert cases[3].label is None
    assert all(case.patient == case.id for case in cases)


def test_flat_folders_and_uncompressed_files(tmp_path):
    for case_id in ("A", "B"):
        folder = made.write_brats_case(tmp_path / "tree", case_id, suffix=".nii")
        for path in folder.iterdir():
            (tmp_path / "flat").mkdir(exist_ok=True)
            path.rename(tmp_path / "flat" / path.name)
    cases = brats(tmp_path / "flat").cases()
    assert [case.id for case in cases] == ["A", "B"]
    assert cases[1].label == tmp_path / "flat" / "B_seg.nii"


def test_modalities_are_chosen_and_ordered_by_canonical_names(tmp_path):
    for modern in (False, True):
        root = tmp_path / str(modern)
        made.write_brats_case(root, "X-000", modern)
        dataset = brats(root, modalities=("flair", "t1ce"))
        (case,) = dataset.cases()
        np.testing.assert_array_equal(dataset.read_image(case).array, [made.image(3), made.image(1)])
        assert dataset.info().modalities == ("flair", "t1ce")


def test_time_points_of_one_patient_stay_together(tmp_path):
    cases = brats(made.write_brats_2023(tmp_path)).cases()
    assert [case.patient for case in cases] == ["BraTS-GLI-00005", "BraTS-GLI-00005", "BraTS-GLI-00006"]


@pytest.mark.parametrize(
    ("modern", "options", "written", "read"),
    [
        (False, {}, 4, {0: 0, 1: 1, 2: 2, 3: 3, 4: 3}),
        (True, {}, 3, {0: 0, 1: 1, 2: 2, 3: 3}),  # 4 is the resection cavity of 2024
        (False, {"enhancing_value": 3}, 3, {0: 0, 1: 1, 2: 2, 3: 3, 4: 3}),
        (True, {"enhancing_value": 4}, 4, {0: 0, 1: 1, 2: 2, 3: 3, 4: 3}),
        (True, {"label_map": {4: 0, 7: 2}}, 3, {0: 0, 1: 1, 2: 2, 3: 3, 4: 0, 7: 2}),
    ],
)
def test_label_values(tmp_path, modern, options, written, read):
    made.write_brats_case(tmp_path, "X-000", modern)
    info = brats(tmp_path, **options).info()
    assert info.classes == ("background", "necrosis", "edema", "enhancing")
    assert info.class_values == (0, 1, 2, written)
    assert info.label_map == read


def test_four_becomes_class_three(tmp_path):
    dataset = brats(made.write_brats(tmp_path))
    label = dataset.read_label(dataset.cases()[0]).array
    np.testing.assert_array_equal(label, made.label((0, 1, 2, 3)))


def test_the_resection_cavity_of_2024_is_not_taken_for_tumor(tmp_path):
    made.write_brats_case(tmp_path, "BraTS-GLI-02405-100", modern=True, label_values=(0, 1, 2, 3, 4))
    dataset = brats(tmp_path)
    assert "4 (100 voxels)" in refusal(dataset.read_label, dataset.cases()[0])


def test_the_label_of_case_355_is_found(tmp_path):
    folder = made.write_brats_case(tmp_path, "BraTS20_Training_355", label_values=None, suffix=".nii")
    made.write_brats_case(tmp_path, "BraTS20_Training_356", suffix=".nii")
    made.save(folder / "W39_1998.09.19_Segm.nii", made.label())
    cases = brats(tmp_path).cases()
    assert [case.label.name for case in cases] == ["W39_1998.09.19_Segm.nii", "BraTS20_Training_356_seg.nii"]


def test_every_case_with_two_labels_is_refused_with_the_names_of_both(tmp_path):
    for case_id, names in {"A": ["W39_Segm"], "B": ["one_Segm", "two_segm"], "C": ["C_seg"], "D": []}.items():
        folder = made.write_brats_case(tmp_path, case_id, label_values=None if case_id == "B" else (0, 1, 2, 4))
        for name in names:
            made.save(folder / f"{name}.nii", made.label())
    text = refusal(brats(tmp_path).cases)
    assert text.startswith("3 problems:")
    for case_id, names in {"A": "A_seg.nii.gz W39_Segm.nii", "B": "one_Segm.nii two_segm.nii"}.items():
        both = ", ".join(str(tmp_path / case_id / name) for name in names.split())
        assert f"case {case_id}: more than one file for seg: {both}" in text
    assert "case C: more than one file for seg: " in text
    assert "case D" not in text


def test_two_labels_in_two_folders_of_one_case_are_refused_too(tmp_path):
    folder = made.write_brats_case(tmp_path, "A", label_values=None)
    (folder / "deep").mkdir()
    (folder / "A_t1.nii.gz").rename(folder / "deep" / "A_t1.nii.gz")
    for path in (folder, folder / "deep"):
        made.save(path / "W39_Segm.nii", made.label())
    assert "case A: more than one file for seg: " in refusal(brats(tmp_path).cases)


def test_all_that_is_wrong_with_a_case_is_said_at_once(tmp_path):
    folder = made.write_brats_case(tmp_path, "A", skip=("t2",))
    for name in ("t1", "seg"):
        made.save(folder / f"A_{name}.nii", made.label())
    text = refusal(brats(tmp_path).cases)
    copies = {name: f"for {name}: {folder}/A_{name}.nii, {folder}/A_{name}.nii.gz" for name in ("t1", "seg")}
    assert f"case A: more than one file {copies['t1']}; {copies['seg']}" in text
    assert "case A: t2 missing" in text


def test_all_incomplete_cases_are_listed_at_once(tmp_path):
    made.write_brats_case(tmp_path, "A")
    made.write_brats_case(tmp_path, "B", skip=("t1",))
    made.write_brats_case(tmp_path, "C", skip=("t2", "flair"))
    text = refusal(brats(tmp_path).cases)
    assert "case B: t1 missing" in text
    assert "case C: t2, flair missing" in text
    assert "case A" not in text
    assert [case.id for case in brats(tmp_path, modalities=("t1ce",)).cases()] == ["A", "B", "C"]


def test_the_same_case_in_two_folders_is_refused(tmp_path):
    made.write_brats_case(tmp_path / "HGG", "A")
    shutil.copytree(tmp_path / "HGG", tmp_path / "LGG")
    text = refusal(brats(tmp_path).cases)
    assert str(tmp_path / "HGG" / "A" / "A_t1.nii.gz") in text
    assert str(tmp_path / "LGG" / "A" / "A_t1.nii.gz") in text


def test_a_folder_without_brats_names_shows_what_is_there_and_what_is_expected(tmp_path):
    for name in ("one.nii.gz", "two.nii.gz", "three.nii.gz", "z.nii.gz"):
        made.save(tmp_path / name, made.image())
    text = refusal(brats(tmp_path).cases)
    assert "it contains one.nii.gz, three.nii.gz, two.nii.gz and 1 other\n" in text
    assert "CASE_{t1,t1ce,t2,flair,seg}.nii.gz" in text
    assert "empty" in refusal(brats(empty(tmp_path)).cases)
    assert "folder not found" in refusal(brats(tmp_path / "nowhere").cases)


def empty(tmp_path):
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def test_other_files_are_ignored(tmp_path):
    folder = made.write_brats_case(tmp_path, "A")
    made.save(folder / "A_dwi.nii.gz", made.image())
    (folder / "survival.csv").touch()
    (folder / "._A_t1.nii.gz").touch()
    assert [case.id for case in brats(tmp_path).cases()] == ["A"]


def test_a_label_on_another_grid_is_refused(tmp_path):
    dataset = brats(made.write_brats(tmp_path))
    case = dataset.cases()[0]
    made.save(case.label, made.label(shape=(9, 8, 6)))
    text = refusal(dataset.read_label, case)
    assert "shape (9, 8, 7) vs. (9, 8, 6)" in text
    made.save(case.label, made.label(), np.eye(4))
    text = refusal(dataset.read_label, case)
    assert "affine" in text
    assert str(case.images[0]) in text
    assert str(case.label) in text


@pytest.mark.parametrize(
    "options", [{"modalities": ()}, {"modalities": ("t1", "t1")}, {"modalities": ("t1n",)}, {"enhancing_value": 5}]
)
def test_options_that_make_no_sense(options):
    with pytest.raises(ValidationError):
        Brats.Options(root=Path(), **options)


def test_a_label_map_to_a_class_that_does_not_exist(tmp_path):
    text = refusal(brats(made.write_brats(tmp_path), label_map={9: 4}).info)
    assert "3 enhancing" in text


class TestNewCases:
    @pytest.fixture
    def dataset(self, tmp_path):
        return brats(made.write_brats(tmp_path / "trained"))

    def files(self, folder, names=("t1", "t1ce", "t2", "flair")):
        return [folder / f"{folder.name}_{name}.nii.gz" for name in names]

    def test_a_folder_of_cases_or_of_one(self, dataset, tmp_path):
        folder = made.write_brats_case(tmp_path / "new", "N1")
        made.write_brats_case(tmp_path / "new", "N2", label_values=None)
        assert [case.id for case in dataset.new_cases([tmp_path / "new"])] == ["N1", "N2"]
        (case,) = dataset.new_cases([folder])
        assert (case.id, case.label) == ("N1", None)

    def test_labels_do_not_matter(self, dataset, tmp_path):
        folder = made.write_brats_case(tmp_path / "new", "N1")
        made.save(folder / "W39_Segm.nii", made.label())
        made.save(folder / "N1_seg.nii", made.label())
        (case,) = dataset.new_cases([tmp_path / "new"])
        assert (case.id, case.label) == ("N1", None)

    def test_the_2023_names_are_taken_by_a_model_of_2021(self, dataset, tmp_path):
        folder = made.write_brats_case(tmp_path / "new", "BraTS-GLI-00001-000", modern=True)
        files = [folder / f"BraTS-GLI-00001-000-{name}.nii.gz" for name in ("t1n", "t1c", "t2w", "t2f")]
        assert dataset.new_cases(files)[0].id == "BraTS-GLI-00001-000"

    def test_files_in_order(self, dataset, tmp_path):
        files = self.files(made.write_brats_case(tmp_path / "new", "N1"))
        (case,) = dataset.new_cases(files)
        assert (case.id, case.images, case.label) == ("N1", tuple(files), None)

    def test_a_wrong_order_is_refused(self, dataset, tmp_path):
        files = self.files(made.write_brats_case(tmp_path / "new", "N1"), ("t1ce", "t1", "t2", "flair"))
        text = refusal(dataset.new_cases, files)
        assert "by its name, this is t1ce, but t1 is expected" in text
        assert "in this order: t1, t1ce, t2, flair" in text

    def test_a_label_among_the_images_is_refused(self, dataset, tmp_path):
        files = self.files(made.write_brats_case(tmp_path / "new", "N1"), ("t1", "t1ce", "t2", "seg"))
        assert "by its name, this is seg" in refusal(dataset.new_cases, files)

    def test_too_few_too_many_and_none(self, dataset, tmp_path):
        files = self.files(made.write_brats_case(tmp_path / "new", "N1"))
        assert "3 files for 4 modalities" in refusal(dataset.new_cases, files[:3])
        assert "5 files for 4 modalities" in refusal(dataset.new_cases, files + files[:1])
        assert "No images" in refusal(dataset.new_cases, [])

    def test_files_of_different_cases_are_refused(self, dataset, tmp_path):
        one, two = (self.files(made.write_brats_case(tmp_path / "new", name)) for name in ("N1", "N2"))
        assert "different cases: N1, N2" in refusal(dataset.new_cases, [*one[:2], *two[2:]])

    def test_names_that_say_nothing_are_taken_in_the_order_given(self, dataset, tmp_path):
        files = [made.save(tmp_path / "new" / f"{i}.nii.gz", made.image(i)) for i in range(4)]
        assert dataset.new_cases(files)[0].images == tuple(files)
        assert "more than once" in refusal(dataset.new_cases, [files[0], *files[:3]])

    def test_a_case_that_lacks_a_modality_is_named(self, dataset, tmp_path):
        made.write_brats_case(tmp_path / "new", "N1", skip=("t2",))
        assert "case N1: t2 missing" in refusal(dataset.new_cases, [tmp_path / "new"])


@pytest.mark.real_data
def test_real_cases_of_2018():
    folder = os.environ.get("SEMISEG_REAL_DATA")
    if not folder:
        pytest.skip("SEMISEG_REAL_DATA is not set")
    dataset = brats(Path(folder) / "brats2018")
    cases = dataset.cases()
    assert len(cases) == 8
    image, label = dataset.read_image(cases[0]), dataset.read_label(cases[0])
    assert image.array.shape == (4, 240, 240, 155)
    assert image.array.dtype == np.int16
    stored, _ = read_nifti(cases[0].label)
    assert set(np.unique(stored)) == {0, 1, 2, 4}
    np.testing.assert_array_equal(label.array == 3, stored == 4)
    np.testing.assert_array_equal(label.array[stored < 3], stored[stored < 3])
