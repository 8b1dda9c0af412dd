"""Copies of a scan under another id: what makes two images the same, and what is refused."""

import numpy as np
import pytest
from made_dataset import MadeDataset

from semiseg.data.scan_checks import digest_of, same_scans, scan_digest
from semiseg.data.split import Split, make_split
from semiseg.data.store import CaseStore
from semiseg.errors import DataError
from semiseg.recipe import schema
from semiseg.types import Case, Geometry, Volume

IMAGE = np.random.default_rng(0).integers(1, 900, (2, 6, 5, 4)).astype(np.int16)


def volume(array, directions=(1, 1, 1)):
    """An image whose axes run this way; the voxels' places are those of the plain one."""
    shape = array.shape[1:]
    affine = np.diag([*map(float, directions), 1])
    affine[:3, 3] = [(n - 1) * (d < 0) for n, d in zip(shape, directions, strict=True)]
    return Volume(array, Geometry(shape, affine))


@pytest.mark.parametrize(
    "copy",
    [
        volume(IMAGE.astype(np.float64)),
        volume(np.pad(IMAGE, [(0, 0), (1, 2), (0, 0), (3, 0)])),
        volume(IMAGE[:, ::-1, :, ::-1], (-1, 1, -1)),
        volume(IMAGE[::-1]),
    ],
    ids=["another type", "zeros around", "axes turned", "channels in another order"],
)
def test_a_copy_is_the_same_scan(copy):
    assert scan_digest(copy) == scan_digest(volume(IMAGE))


def test_one_other_voxel_makes_another_scan():
    other = IMAGE.copy()
    other[1, 3, 2, 1] += 1
    assert scan_digest(volume(other)) != scan_digest(volume(IMAGE))
    assert digest_of(np.zeros_like(IMAGE)) == ""
    assert digest_of(IMAGE[:, :3]) != digest_of(IMAGE)


def test_roles_decide_between_problem_and_note():
    a, b, c, d, e, f, g = (Case(name, ()) for name in "abcdefg")
    split = Split(labeled=(a, b), unlabeled=(c,), validation=(d, e), test=(f, g))
    digests = {"a": "1", "c": "1", "b": "2", "f": "2", "d": "3", "g": "3", "e": ""}
    problems, notes = same_scans(split, digests)
    assert notes == ["2 cases have the same image: a (labeled), c (unlabeled)"]
    assert [(problem.where, problem.what) for problem in problems] == [
        ("cases b (labeled), f (test)", "identical images, voxel by voxel, in test and training"),
        ("cases d (validation), g (test)", "identical images, voxel by voxel, in test and validation"),
    ]


class TestInTheStore:
    split = schema.Split(test=["a"], validation=["b"], labeled=["c", "d"])

    @pytest.fixture
    def dataset(self, tmp_path):
        return MadeDataset(tmp_path / "data", 8, unlabeled=2)

    def fill(self, dataset, tmp_path):
        made = make_split(dataset.cases(), self.split, 0)
        return CaseStore(dataset, schema.Preprocessing(), made, tmp_path / "store").fill(dataset.cases())

    def copy(self, dataset, source, target):
        cases = {case.id: case for case in dataset.cases()}
        for one, other in zip(cases[source].images, cases[target].images, strict=True):
            np.save(other, np.load(one).astype(np.float32))

    @pytest.mark.parametrize(("copied", "role"), [("d", "labeled"), ("h", "unlabeled"), ("b", "validation")])
    @pytest.mark.parametrize("filled_before", [False, True])
    def test_a_test_case_s_copy_is_refused_however_the_store_came_to_be(
        self, dataset, tmp_path, copied, role, filled_before
    ):
        self.copy(dataset, "a", copied)
        if filled_before:
            with pytest.raises(DataError):
                self.fill(dataset, tmp_path)
            dataset.read.clear()
        with pytest.raises(DataError, match=r"cases .*a \(test\)") as refused:
            self.fill(dataset, tmp_path)
        (problem,) = refused.value.problems
        assert f"{copied} ({role})" in problem.where
        assert not (filled_before and dataset.read)

    def test_a_store_from_before_scans_were_compared_is_looked_at_once_more(self, dataset, tmp_path):
        self.copy(dataset, "a", "d")
        with pytest.raises(DataError):
            self.fill(dataset, tmp_path)
        for note in (tmp_path / "store" / "digests").rglob("*"):
            if note.is_file():
                note.unlink()
        dataset.read.clear()
        with pytest.raises(DataError, match="voxel by voxel"):
            self.fill(dataset, tmp_path)
        assert dataset.read == [("a", "image")]

    def test_twice_in_training_is_noted(self, dataset, tmp_path):
        self.copy(dataset, "c", "h")
        assert self.fill(dataset, tmp_path)[0] == "2 cases have the same image: c (labeled), h (unlabeled)"
