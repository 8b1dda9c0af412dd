"""Made-up heads: the same for everybody, complete or not there, and tumors that are nested and not trivial."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from semiseg.datasets._heads import MODALITIES, make_head
from semiseg.datasets.phantom import Phantom
from semiseg.errors import StorageError

NECROSIS, EDEMA, ENHANCING = 1, 2, 4


def phantom(root, **options):
    return Phantom(Phantom.Options(root=root, **{"cases": 2, "size": (32, 40, 32), **options}))


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.nii.gz")}


@pytest.fixture(scope="module")
def heads():
    return [make_head(np.random.default_rng(seed), (64, 76, 60)) for seed in range(6)]


def test_files_are_the_same_for_the_same_options(tmp_path):
    folders = [phantom(tmp_path / name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    for dataset in folders:
        dataset.cases()
    a, b, c = (contents(dataset.folder) for dataset in folders)
    assert len(a) == 2 * 5
    assert a == b
    assert a.keys() == c.keys()
    assert not set(a.values()) & set(c.values())


def test_a_longer_set_begins_with_the_shorter_one(tmp_path):
    short, long = phantom(tmp_path, cases=1), phantom(tmp_path, cases=2)
    short.cases()
    long.cases()
    assert contents(short.folder).items() < contents(long.folder).items()


def test_files_are_made_once(tmp_path):
    dataset = phantom(tmp_path)
    times = [path.stat().st_mtime_ns for case in dataset.cases() for path in case.images]
    assert times == [path.stat().st_mtime_ns for case in phantom(tmp_path).cases() for path in case.images]
    assert [path.name for path in tmp_path.iterdir()] == [dataset.folder.name]


def test_they_are_read_as_brats(tmp_path):
    dataset = phantom(tmp_path)
    info = dataset.info()
    assert (info.name, info.classes[3], info.class_values[3]) == ("phantom", "enhancing", 4)
    assert not tmp_path.joinpath(dataset.folder.name).exists(), "info makes no files"
    case = dataset.cases()[0]
    image, label = dataset.read_image(case), dataset.read_label(case)
    assert image.array.dtype == np.int16
    assert image.array.shape == (4, 32, 40, 32)
    assert set(np.unique(label.array)) == {0, 1, 2, 3}
    assert image.geometry.spacing == pytest.approx((5, 5, 5))
    np.testing.assert_array_equal(np.sign(np.diag(image.geometry.affine)), [-1, -1, 1, 1])


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMISEG_CACHE", str(tmp_path / "cache"))
    assert Phantom().folder.parent == tmp_path / "cache" / "phantom"
    monkeypatch.delenv("SEMISEG_CACHE")
    assert Phantom().folder.parent == Path.home() / ".cache" / "semiseg" / "phantom"
    assert len({phantom(None, **o).folder for o in ({}, {"cases": 3}, {"size": (32, 32, 32)}, {"seed": 1})}) == 4


def test_a_maker_that_is_stopped_leaves_nothing(tmp_path, monkeypatch):
    def stopped(self, folder, index):
        (folder / "half").mkdir(exist_ok=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Phantom, "_write_case", stopped)
        with pytest.raises(KeyboardInterrupt):
            phantom(tmp_path).cases()
    assert list(tmp_path.iterdir()) == []
    assert len(phantom(tmp_path).cases()) == 2


def make_in(root):
    return len(phantom(root).cases())


def test_two_processes_may_make_the_same_files_at_once(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(make_in, [tmp_path] * 2) == [2, 2]
    assert len(list(tmp_path.iterdir())) == 1


def test_the_slower_of_two_takes_what_the_faster_made(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: phantom(tmp_path)._make(), range(4)))
    assert [path.name for path in tmp_path.iterdir()] == [phantom(tmp_path).folder.name]


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="SEMISEG_CACHE"):
        phantom(tmp_path / "file").cases()


def test_necrosis_lies_within_enhancing_tumor_within_edema(heads):
    for head in heads:
        assert set(np.unique(head.label)) == {0, NECROSIS, EDEMA, ENHANCING}
        core = (head.label == NECROSIS) | (head.label == ENHANCING)
        around = ndimage.binary_dilation(head.label == NECROSIS)
        assert core[around].all(), "necrosis touches something else than enhancing tumor"
        assert ndimage.label(head.label > 0)[1] == 1
        assert all(image[head.label > 0].min() > 0 for image in head.images.values())


def test_contrasts_are_as_in_real_scans(heads):
    def mean(head, modality, value):
        return np.median(head.images[modality][head.label == value])

    for head in heads:
        inside = (head.label == 0) & (head.images["t1"] > 0)
        tissue = {name: np.median(head.images[name][inside]) for name in MODALITIES}
        assert mean(head, "t1ce", ENHANCING) > 1.2 * mean(head, "t1ce", EDEMA)
        assert mean(head, "t1ce", ENHANCING) > 1.2 * mean(head, "t1ce", NECROSIS)
        assert mean(head, "flair", EDEMA) > 1.1 * tissue["flair"]
        assert mean(head, "t2", EDEMA) > 1.1 * tissue["t2"]
        assert mean(head, "t1", NECROSIS) < mean(head, "t1", EDEMA)


def test_the_background_is_zero_and_the_head_is_whole(heads):
    for head in heads:
        inside = [image > 0 for image in head.images.values()]
        assert all(image.min() == 0 and image.dtype == np.int16 for image in head.images.values())
        assert all(np.array_equal(mask, inside[0]) for mask in inside[1:])
        assert 0.2 < inside[0].mean() < 0.6
        assert not inside[0][0].any()
        assert not inside[0][:, 0].any()


@pytest.mark.parametrize(("modality", "values", "limit"), [("flair", (1, 2, 4), 0.8), ("t1ce", (4,), 0.4)])
def test_no_threshold_finds_the_tumors(heads, modality, values, limit):
    """The best threshold, one for all cases after normalization: what a network has to beat."""
    dice = np.zeros((len(heads), 30))
    for row, head in zip(dice, heads, strict=True):
        inside = head.images[modality] > 0
        voxels = head.images[modality][inside].astype(float)
        truth = np.isin(head.label[inside], values)
        for index, threshold in enumerate(np.arange(0, 3, 0.1)):
            found = (voxels - voxels.mean()) / voxels.std() > threshold
            row[index] = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert dice.mean(axis=0).max() < limit


def test_cases_differ(heads):
    volumes = [int((head.label > 0).sum()) for head in heads]
    assert max(volumes) > 2 * min(volumes)
    brightness = [float(np.median(head.images["t1"][head.images["t1"] > 0])) for head in heads]
    assert max(brightness) > 1.5 * min(brightness)
