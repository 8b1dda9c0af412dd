"""ACDC as downloaded and as the papers' h5 files: what is read, what is left out, and what is refused."""

import os
from pathlib import Path

import helpers_volumes as made
import nibabel
import numpy as np
import pytest

from semiseg.data.split import make_split
from semiseg.datasets.acdc import ACDC
from semiseg.errors import DataError
from semiseg.recipe.load import load_recipe

CLASSES = ("background", "right ventricle", "myocardium", "left ventricle")
BOTH = pytest.mark.parametrize("write", [made.write_acdc, made.write_acdc_nifti])


def acdc(root, **options):
    return ACDC(ACDC.Options(root=root, **options))


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


@BOTH
def test_cases_are_frames_and_belong_to_patients(tmp_path, write):
    dataset = acdc(write(tmp_path))
    assert [(case.id, case.patient) for case in dataset.cases()] == [(name, name[:10]) for name in made.ACDC_IDS]
    assert dataset.info().classes == CLASSES
    for number, case in enumerate(dataset.cases()):
        expected = made.label(made.turned((0, 1, 2, 3), number))
        np.testing.assert_array_equal(dataset.read_label(case).array, expected)


def test_h5_volumes_are_turned_to_x_y_z(tmp_path):
    dataset = acdc(made.write_acdc(tmp_path))
    volume = dataset.read_image(dataset.cases()[1])
    assert volume.array.shape == (1, *made.SHAPE)
    np.testing.assert_array_equal(volume.array[0], made.image(1, np.float32) / 1000)
    assert dataset.read_geometry(dataset.cases()[1]).shape == made.SHAPE


def test_distances_of_h5_files_are_in_voxels_unless_a_spacing_is_given(tmp_path):
    made.write_acdc(tmp_path)
    case = acdc(tmp_path).cases()[0]
    geometry = acdc(tmp_path).read_geometry(case)
    assert (geometry.unit, geometry.spacing) == ("voxel", (1, 1, 1))
    spaced = acdc(tmp_path, spacing_mm=(1.5, 1.5, 10))
    for geometry in (spaced.read_geometry(case), spaced.read_image(case).geometry, spaced.read_label(case).geometry):
        assert (geometry.unit, geometry.spacing) == ("mm", (1.5, 1.5, 10))


def test_nifti_files_store_the_spacing(tmp_path):
    made.write_acdc_nifti(tmp_path)
    dataset = acdc(tmp_path, spacing_mm=(1, 1, 1))
    geometry = dataset.read_geometry(dataset.cases()[0])
    assert (geometry.unit, geometry.spacing) == ("mm", (1.5, 1.5, 10))
    assert "dataset.spacing_mm is not used: NIfTI files store the voxel size" in dataset.notes()
    assert not any("spacing_mm" in note for note in acdc(tmp_path).notes())


def test_slices_and_series_are_left_out_with_a_note(tmp_path):
    papers = acdc(made.write_acdc(tmp_path / "papers"))
    assert papers.notes() == (
        f"{tmp_path / 'papers'}: 8 files of single slices, which the volumes contain, are left out",
    )
    challenge = acdc(made.write_acdc_nifti(tmp_path / "challenge"))
    assert challenge.notes() == (
        f"{tmp_path / 'challenge'}: 2 files of whole series over time (4d), of which only the frames with labels are"
        " used, are left out",
    )


def test_both_forms_in_one_folder_are_refused(tmp_path):
    made.write_acdc(tmp_path / "papers")
    made.write_acdc_nifti(tmp_path / "challenge")
    assert "contains both h5 and NIfTI files" in refusal(acdc(tmp_path).cases)


def test_a_folder_without_acdc_says_what_is_expected(tmp_path):
    made.write_la2018(tmp_path)
    assert "Expected patientNNN_frameMM.h5, or patientNNN/patientNNN_frameMM.nii.gz" in refusal(acdc(tmp_path).cases)
    assert "folder not found" in refusal(acdc(tmp_path / "nowhere").cases)


def test_slices_alone_are_no_cases(tmp_path):
    made.write_acdc(tmp_path)
    for path in (tmp_path / "data").glob("*.h5"):
        path.unlink()
    assert "no files with names of ACDC" in refusal(acdc(tmp_path).cases)


def test_an_image_without_label_is_unlabeled_and_a_label_without_image_is_a_problem(tmp_path):
    made.write_acdc_nifti(tmp_path)
    next(tmp_path.rglob("patient001_frame12_gt.nii.gz")).unlink()
    assert [case.id for case in acdc(tmp_path).cases() if case.label is None] == ["patient001_frame12"]
    next(tmp_path.rglob("patient002_frame09.nii.gz")).unlink()
    assert "patient002_frame09_gt.nii.gz: it has no image" in refusal(acdc(tmp_path).cases)


def test_a_case_that_is_there_twice_is_refused(tmp_path):
    path = made.write_acdc_case(tmp_path / "a" / "patient001_frame01.h5")
    made.write_acdc_case(tmp_path / "b" / path.name)
    assert "case patient001_frame01: its id occurs more than once" in refusal(acdc(tmp_path).cases)


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"label": made.label((0, 4)).T}, "4 (252 voxels)"),
        ({"label": made.label((0, 1), (7, 8, 8))}, "shapes (7, 8, 9) and (7, 8, 8)"),
        ({"label": None}, "has no 'label'"),
        ({"image": made.image()[0], "label": made.label((0, 1))[0]}, "not a volume (Z, Y, X) of numbers"),
    ],
)
def test_what_is_wrong_with_an_h5_file(tmp_path, arrays, word):
    path = made.write_acdc_case(tmp_path / "patient001_frame01.h5", **arrays)
    dataset = acdc(tmp_path)
    told = refusal(dataset.read_label, dataset.cases()[0])
    assert word in told
    assert str(path) in told


def test_a_label_map_covers_additional_values(tmp_path):
    made.write_acdc_case(tmp_path / "patient001_frame01.h5", label=made.label((0, 1, 7)).T)
    dataset = acdc(tmp_path, label_map={7: 3})
    np.testing.assert_array_equal(dataset.read_label(dataset.cases()[0]).array, made.label((0, 1, 3)))


def test_new_cases_are_volumes_of_either_form(tmp_path):
    dataset = acdc(made.write_acdc(tmp_path / "trained"))
    named = made.write_acdc_case(tmp_path / "new" / "mine.h5", label=None)
    cases = dataset.new_cases([tmp_path / "trained"])
    assert [(case.id, case.patient) for case in cases] == [(name, name[:10]) for name in made.ACDC_IDS]
    (case,) = dataset.new_cases([named])
    assert (case.id, case.patient) == ("mine", "mine")
    assert dataset.read_image(case).array.shape == (1, *made.SHAPE)
    downloaded = made.write_acdc_nifti(tmp_path / "downloaded")
    assert [case.id for case in dataset.new_cases([downloaded])] == list(made.ACDC_IDS)
    (case,) = dataset.new_cases([next(downloaded.rglob("patient001_frame01.nii.gz"))])
    assert dataset.read_image(case).array.shape == (1, *made.SHAPE)
    assert "2 files for one modality" in refusal(dataset.new_cases, [named, named])
    (tmp_path / "empty").mkdir()
    assert "no .h5, .nii.gz or .nii files" in refusal(dataset.new_cases, [tmp_path / "empty"])
    assert "neither an h5 nor a NIfTI file" in refusal(dataset.new_cases, [tmp_path / "trained" / "test.list"])


def test_a_label_on_another_grid_is_refused(tmp_path):
    made.write_acdc_nifti(tmp_path)
    label = next(tmp_path.rglob("patient001_frame01_gt.nii.gz"))
    shifted = np.diag([1.5, 1.5, 5.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(made.label((0, 1, 2, 3)), shifted), label)
    dataset = acdc(tmp_path)
    assert "are on different grids" in refusal(dataset.read_label, dataset.cases()[0])


@pytest.mark.real_data
def test_real_volumes():
    folder = os.environ.get("SEMISEG_REAL_DATA")
    if not folder:
        pytest.skip("SEMISEG_REAL_DATA is not set")
    dataset = acdc(Path(folder) / "acdc")
    cases = dataset.cases()
    patients = {case.patient for case in cases}
    assert (len(cases), len(patients)) == (160, 80)
    assert {"patient028", "patient099"} <= patients
    assert not dataset.notes()
    case = cases[0]
    image, label = dataset.read_image(case), dataset.read_label(case)
    assert (case.id, image.array.dtype, image.array.shape) == ("patient002_frame01", np.uint16, (1, 116, 128, 10))
    assert set(np.unique(label.array)) == {0, 1, 2, 3}
    assert label.array.shape == image.geometry.shape == (116, 128, 10)
    recipe = load_recipe("acdc_cps", [f"dataset.root={dataset.options.root}"])
    split = make_split(cases, recipe.split, draw=recipe.seed)
    sides = [{case.patient for case in split.cases(role)} for role in ("labeled", "unlabeled", "validation", "test")]
    assert [len(side) for side in sides] == [7, 43, 10, 20]
    assert len(set().union(*sides)) == 80  # no patient is in two parts
    same = {case.patient: case for case in cases if case.id in {"patient074_frame01", "patient076_frame01"}}
    first, second = (dataset.read_image(case).array for case in same.values())
    assert np.array_equal(first, second)
    assert not {*same} & (sides[2] | sides[3])  # as the recipe's header says
