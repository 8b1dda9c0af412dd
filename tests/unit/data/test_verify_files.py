"""Files as users have them, of built-in datasets: what quick finds in headers, and that nothing is said twice."""

import helpers_volumes as made
import numpy as np
import pytest

from semiseg.data.verify import verify_cases
from semiseg.datasets.folder import Folder
from semiseg.datasets.la2018 import LA2018
from semiseg.interfaces.dataset import Dataset
from semiseg.testing.dataset import watch_opens


@pytest.fixture
def dataset(tmp_path):
    root = made.write_folder(tmp_path)
    return Folder(Folder.Options(root=root, classes={"front": 1, "back": 2}))


def label(dataset, number=0):
    return dataset.cases()[number].label


def test_quick_finds_a_label_that_is_text(dataset):
    label(dataset).write_text("the label")
    (problem,) = verify_cases(dataset, dataset.cases(), quick=True)
    assert problem.where == str(label(dataset))
    assert "not a NIfTI image" in problem.what


@pytest.mark.parametrize(
    ("shape", "affine", "said"),
    [
        ((9, 8, 6), made.LPS, "shape (9, 8, 7) vs. (9, 8, 6)"),
        (made.SHAPE, np.eye(4), "affine"),
        ((*made.SHAPE, 2), made.LPS, "its shape is (9, 8, 7, 2)"),
    ],
)
def test_quick_finds_a_label_of_another_grid_and_says_it_as_the_full_check_does(dataset, shape, affine, said):
    made.save(label(dataset, 1), made.label(shape=shape), affine)
    found = verify_cases(dataset, dataset.cases(), quick=True)
    assert found == verify_cases(dataset, dataset.cases())
    (problem,) = found
    assert str(label(dataset, 1)) in f"{problem}"
    assert said in problem.what


def test_quick_reads_no_voxels_where_headers_agree(dataset, monkeypatch):
    for name in ("read_image", "read_label"):
        monkeypatch.setattr(Folder, name, None)
    with watch_opens() as opened:
        assert verify_cases(dataset, dataset.cases(), quick=True) == []
    assert str(label(dataset).resolve()) in opened


def test_quick_leaves_a_doubtful_label_to_its_dataset(dataset):
    """Another's dataset may turn its labels, or take one channel of several."""

    class Turned(Folder):
        def read_label(self, case):
            return super().read_label(self.cases()[1])

    made.save(label(dataset, 0), made.label(shape=(8, 9, 7)))
    assert verify_cases(Turned(dataset.options), dataset.cases(), quick=True) == []


def test_quick_tells_of_image_and_label_both(dataset):
    case = dataset.cases()[0]
    case.images[0].write_text("an image")
    case.label.write_text("a label")
    found = verify_cases(dataset, dataset.cases(), quick=True)
    assert [problem.where for problem in found] == [str(case.images[0]), str(case.label)]


@pytest.mark.parametrize("content", [b"", b"text", b"\x1f\x8b damaged", bytes(400)])
def test_a_broken_header_of_a_labeled_case_is_told_once(dataset, content):
    image = dataset.cases()[0].images[0]
    image.write_bytes(content)
    for quick in (False, True):
        (problem,) = verify_cases(dataset, dataset.cases(), quick=quick)
        assert problem.where == str(image)


def test_labels_are_shown_whole_and_those_of_quick_are_not(dataset):
    seen = {}
    verify_cases(dataset, dataset.cases(), look=lambda case, volume: seen.update({case.id: volume.array}))
    assert {case_id: array.max() for case_id, array in seen.items()} == {"a_1": 2, "a_2": 2}
    verify_cases(dataset, dataset.cases(), quick=True, look=lambda case, volume: pytest.fail("read"))


def test_a_dataset_whose_labels_are_no_nifti(tmp_path):
    dataset: Dataset = LA2018(LA2018.Options(root=made.write_la2018(tmp_path)))
    assert verify_cases(dataset, dataset.cases(), quick=True) == []
