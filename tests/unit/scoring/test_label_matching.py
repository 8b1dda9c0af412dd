"""Label files by case, in the folders that people have."""

import pytest

from semiseg.errors import DataError
from semiseg.scoring.matching import find_labels


@pytest.fixture
def folder(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def cases(folder):
    return {case: str(path.relative_to(folder)) for case, path in find_labels(folder).items()}


def test_decathlon_and_nnunet(folder):
    root = folder("hippocampus_004.nii.gz", "hippocampus_001.nii.gz", "._hippocampus_001.nii.gz", "dataset.json")
    assert cases(root) == {
        "hippocampus_001": "hippocampus_001.nii.gz",
        "hippocampus_004": "hippocampus_004.nii.gz",
    }
    assert list(cases(root)) == ["hippocampus_001", "hippocampus_004"]


@pytest.mark.parametrize("ending", [".nii.gz", ".png"])
def test_confidence_maps_are_no_labels(folder, ending):
    root = folder(f"a{ending}", "a_confidence.nii.gz", f"b{ending}", f"no_confidence{ending}")
    assert cases(root) == {"a": f"a{ending}", "b": f"b{ending}", "no_confidence": f"no_confidence{ending}"}


def test_brats_until_2021_one_folder_a_case(folder):
    names = [f"BraTS2021_0000{i}/BraTS2021_0000{i}_{kind}.nii.gz" for i in (1, 2) for kind in ("flair", "t1", "seg")]
    root = folder(*names, "BraTS2021_00003/BraTS2021_00003_flair.nii.gz", "BraTS2021_00003/BraTS2021_00003_t1.nii.gz")
    assert cases(root) == {
        "BraTS2021_00001": "BraTS2021_00001/BraTS2021_00001_seg.nii.gz",
        "BraTS2021_00002": "BraTS2021_00002/BraTS2021_00002_seg.nii.gz",
    }


def test_brats_2023_with_hyphens(folder):
    case = "BraTS-GLI-00001-000"
    assert cases(folder(f"{case}/{case}-seg.nii.gz", f"{case}/{case}-t1n.nii.gz")) == {
        case: f"{case}/{case}-seg.nii.gz"
    }


def test_brats_all_in_one_folder(folder):
    root = folder("A_1_seg.nii", "A_1_flair.nii", "A_1_t1ce.nii", "A_11_seg.nii", "A_11_flair.nii")
    assert cases(root) == {"A_1": "A_1_seg.nii", "A_11": "A_11_seg.nii"}


def test_a_folder_names_the_case_whatever_its_file_is_called(folder):
    root = folder("BraTS20_Training_355/W39_1998.09.19_Segm.nii", "BraTS20_Training_355/W39_t1.nii", "c2/seg.nii.gz")
    assert set(cases(root)) == {"BraTS20_Training_355", "c2"}


def test_predictions_in_one_folder_a_case(folder):
    assert cases(folder("c1/c1.nii.gz", "c2/prediction.nii.gz", ".cache/x.nii.gz")) == {
        "c1": "c1/c1.nii.gz",
        "c2": "c2/prediction.nii.gz",
    }


def test_a_name_that_only_ends_in_seg_is_a_name(folder):
    assert set(cases(folder("preseg.nii.gz", "scan.nii.gz"))) == {"preseg", "scan"}


def test_with_and_without_suffix_side_by_side(folder):
    assert set(cases(folder("c1.nii.gz", "c2_seg.nii.gz"))) == {"c1", "c2"}


def test_two_files_of_one_case(folder):
    with pytest.raises(DataError, match=r"case c1: has two label files: .*c1.nii and .*c1.nii.gz"):
        find_labels(folder("c1.nii", "c1.nii.gz"))
    with pytest.raises(DataError, match="case c2: has two label files"):
        find_labels(folder("c2.nii", "c2_seg.nii"))


def test_nothing_to_find(folder, tmp_path):
    with pytest.raises(DataError, match="folder not found"):
        find_labels(tmp_path / "none")
    with pytest.raises(DataError, match=r"contains no label files\n    Expected CASE\.nii\.gz"):
        find_labels(tmp_path)
    with pytest.raises(DataError, match=r"folders with several files each \(best, last\)"):
        find_labels(folder("last/a.nii.gz", "last/b.nii.gz", "best/a.nii.gz", "best/b.nii.gz"))


def test_labels_of_3d_slicer_beside_their_images(tmp_path):
    for name in ("a.nrrd", "a.seg.nrrd", "b.nrrd", "b-label.nrrd", "c.mha", "d.nii.gz"):
        (tmp_path / name).touch()
    assert {case: path.name for case, path in find_labels(tmp_path).items()} == {
        "a": "a.seg.nrrd",
        "b": "b-label.nrrd",
        "c": "c.mha",
        "d": "d.nii.gz",
    }
    for name in ("p1/CT.nrrd", "p1/Segmentation.seg.nrrd", "p2/p2-label.mha"):
        (tmp_path / "cases" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cases" / name).touch()
    assert {case: path.name for case, path in find_labels(tmp_path / "cases").items()} == {
        "p1": "Segmentation.seg.nrrd",
        "p2": "p2-label.mha",
    }
