"""A share of the samples is centered on a foreground voxel; all other samples stay as they were."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_dataset import SHAPE, MadeDataset
from scipy.stats import chisquare

from semiseg.augmentation.fused import FusedAugmentation
from semiseg.augmentation.none import NoAugmentation
from semiseg.data.batches import TrainingBatches
from semiseg.data.case_records import StoredPseudo
from semiseg.data.draws import Draws
from semiseg.data.foreground import count_planes, draw_voxel, in_foreground, structures_of
from semiseg.data.samples import Sampler, start_around
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.recipe import schema
from semiseg.types import IGNORED, DatasetInfo, Task

PATCH = (8, 6, 6)
CLASSES = ((1,), (2,))


class Lesions(MadeDataset):
    """A single voxel of class 1, a block of class 2 and ignored voxels in the first case; the second is empty."""

    def __init__(self, root):
        super().__init__(root, 2)
        for case in self.cases():
            label = np.zeros(SHAPE, np.uint8)
            if case.id == "a":
                label[5, 6, 7] = 1
                label[10:16, 8:13, 3:9] = 2
                label[3:5, 4:9, 5:9] = IGNORED
            np.save(case.label, label)

    def info(self):
        names = ("background", "spot", "block")
        return DatasetInfo("lesions", ("one", "two"), names, {0: 0, 1: 1, 2: 2}, (0, 1, 2), ignore=255)


def store_of(dataset, root, with_planes):
    split = make_split(dataset.cases(), schema.Split(labeled=2), 0)
    store = CaseStore(dataset, schema.Preprocessing(), split, root, with_planes)
    return store, store.fill(dataset.cases())


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    root = tmp_path_factory.mktemp("foreground")
    store, _ = store_of(Lesions(root / "data"), root / "store", with_planes=True)
    return [store.labeled("a"), store.labeled("b")]


def batches(cases, share, unlabeled=(), workers=0, augmentation=None, patch=PATCH, **more):
    size = Draws.same(labeled=3, unlabeled=2 if unlabeled else 0)
    made = augmentation or NoAugmentation()
    chosen = {"foreground_share": share, "structures": CLASSES, "has_ignored": True, **more}
    return TrainingBatches(cases, unlabeled, made, patch, size, 1, workers, n_classes=3, **chosen)


@pytest.mark.parametrize(("share", "size"), [(0.33, 2), (1 / 3, 3), (0.5, 2), (0.4, 7), (0.05, 4), (1.0, 2), (0.0, 3)])
def test_each_step_has_the_share_rounded_down_or_up_and_on_average_the_share(share, size):
    drawn = [[in_foreground(share, 3, step, slot) for slot in range(size)] for step in range(2000)]
    counts = Counter(map(sum, drawn))
    assert counts.keys() <= {int(np.floor(share * size)), int(np.ceil(share * size))}
    assert np.mean(drawn) == pytest.approx(share, abs=0.02)
    assert np.mean(drawn, axis=0) == pytest.approx([share] * size, abs=0.04)


def test_one_of_two_samples_is_nnunet_s_choice_for_batches_of_two():
    """``_oversample_last_XX_percent``: the last samples, from round(batch * (1 - share)) on."""
    nnunet = sum(index >= round(2 * (1 - 0.33)) for index in range(2))
    assert nnunet == 1
    assert all(sum(in_foreground(0.5, 0, step, slot) for slot in range(2)) == nnunet for step in range(50))


def test_classes_are_drawn_evenly_and_so_are_the_voxels_of_each():
    label = np.random.default_rng(0).choice([0, 1, 2, IGNORED], (9, 7, 5), p=[0.84, 0.02, 0.1, 0.04]).astype(np.uint8)
    planes = count_planes(label, 3)
    torch.manual_seed(0)
    drawn = [draw_voxel(label, planes, CLASSES) for _ in range(6000)]
    classes = Counter(int(label[voxel]) for voxel in drawn)
    assert classes.keys() == {1, 2}
    assert chisquare(list(classes.values())).pvalue > 0.01
    for index in (1, 2):
        voxels = Counter(voxel for voxel in drawn if label[voxel] == index)
        assert voxels.keys() == set(map(tuple, np.argwhere(label == index).tolist()))
        assert chisquare(list(voxels.values())).pvalue > 0.01


def test_regions_are_drawn_evenly_and_a_voxel_from_all_of_their_classes():
    task = Task(1, ("background", "core", "edema"), PATCH, {"whole": (1, 2), "core": (1,)})
    assert structures_of(task) == ((1, 2), (1,))
    assert structures_of(replace(task, regions={})) == CLASSES
    label = np.zeros((4, 6, 5), np.uint8)
    label[1, 2, 3], label[3, 0:3, 0] = 1, 2
    torch.manual_seed(0)
    drawn = Counter(draw_voxel(label, count_planes(label, 3), structures_of(task)) for _ in range(4000))
    others = [count for voxel, count in drawn.items() if voxel != (1, 2, 3)]
    assert chisquare([drawn[1, 2, 3], *others], [4000 * (1 / 2 + 1 / 8), *[4000 / 8] * 3]).pvalue > 0.01


def test_counts_are_of_foreground_classes_alone():
    label = np.zeros((3, 2, 2), np.uint8)
    label[1, 0, 0], label[1, 1, 1], label[2] = 2, IGNORED, 1
    assert count_planes(label, 3).tolist() == [[0, 0, 4], [0, 1, 0]]
    assert draw_voxel(label, np.zeros((2, 3), np.int32), CLASSES) is None


@pytest.mark.parametrize(
    ("voxel", "start"),
    [((10, 9, 8), (6, 6, -1)), ((0, 1, 2), (0, 0, -1)), ((19, 17, 3), (12, 12, -1)), ((4, 3, 0), (0, 0, -1))],
)
def test_a_patch_is_centered_on_its_voxel_as_far_as_the_image_reaches(voxel, start):
    assert start_around(voxel, (20, 18, 4), (8, 6, 6)) == start


def test_a_single_voxel_is_in_its_share_of_the_patches(cases):
    """Half of the samples are centered on foreground, and half of these on the single voxel of class 1."""
    sampler = Sampler(cases[:1], [], NoAugmentation(), PATCH, 1, foreground_share=0.5, structures=CLASSES)
    drawn = [sampler.draw_labeled(step, slot).label for step in range(200) for slot in range(2)]
    forced = [in_foreground(0.5, 1, step, slot) for step in range(200) for slot in range(2)]
    centers = Counter(int(label[4, 3, 3]) for label, chosen in zip(drawn, forced, strict=True) if chosen)
    assert sum(forced) == centers[1] + centers[2] == 200
    assert chisquare([centers[1], centers[2]]).pvalue > 0.01
    others = [bool((label == 1).any()) for label, chosen in zip(drawn, forced, strict=True) if not chosen]
    assert np.mean(others) < 0.35


def test_samples_that_are_not_of_the_share_are_as_without_it(cases):
    plain = TrainingBatches(
        cases,
        [],
        NoAugmentation(),
        PATCH,
        Draws.same(labeled=3, unlabeled=0),
        1,
        0,
        n_classes=3,
        has_ignored=True,
    )
    changed = 0
    for step, (one, none, some) in enumerate(
        zip(plain.steps(0, 40), batches(cases, 0.0).steps(0, 40), batches(cases, 0.4).steps(0, 40), strict=True)
    ):
        assert torch.equal(one.labeled.image, none.labeled.image)
        assert torch.equal(one.labeled.label, none.labeled.label)
        assert one.labeled.cases == some.labeled.cases
        for slot, case in enumerate(some.labeled.cases):
            same = torch.equal(one.labeled.image[slot], some.labeled.image[slot])
            assert same or (in_foreground(0.4, 1, step, slot) and case == "a")
            changed += not same
    assert 10 < changed < 48


def test_a_case_without_foreground_is_drawn_evenly(cases):
    """Not only from where foreground would be: as all of its samples without the share."""
    empty = cases[1:]
    for one, other in zip(batches(empty, 0.0).steps(0, 5), batches(empty, 1.0).steps(0, 5), strict=True):
        assert torch.equal(one.labeled.image, other.labeled.image)


def test_processes_and_workers_change_no_sample(cases):
    (whole,) = batches(cases, 0.5).steps(4, 5)
    parts = [next(batches(cases, 0.5, workers=rank, rank=rank, world=2).steps(4, 5)).labeled for rank in (0, 1)]
    order = np.argsort([slot for part in parts for slot in part.slots])
    assert torch.equal(torch.cat([part.image for part in parts])[order], whole.labeled.image)
    assert torch.equal(torch.cat([part.label for part in parts])[order], whole.labeled.label)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_augmented_on_the_device_it_is_the_same(cases, share):
    fused = FusedAugmentation(FusedAugmentation.Options(probability=0.7))
    late = batches(cases, share, augmentation=fused, deferred=True)
    for step, expected in enumerate(batches(cases, share, augmentation=fused).steps(0, 3)):
        (raw,) = late.steps(step, step + 1)
        made = late.finish(raw, step)
        assert (made.labeled.label == expected.labeled.label).float().mean() > 0.999
        torch.testing.assert_close(made.labeled.image, expected.labeled.image, atol=2e-3, rtol=1e-3)


def test_pseudo_labels_have_the_share_too_and_other_unlabeled_samples_do_not(cases, tmp_path):
    label = np.where(cases[0].label() == IGNORED, 0, cases[0].label())
    np.save(tmp_path / "a.npy", label)
    image = cases[0].image_file, cases[0].preparation
    pseudo = StoredPseudo("a", *image, tmp_path / "a.npy", count_planes(label, 3))
    served, plain = batches(cases, 1.0, [pseudo]), batches(cases, 1.0, [replace(pseudo, planes=None)])
    for one, other in zip(served.steps(0, 5), plain.steps(0, 5), strict=True):
        assert set(one.unlabeled.pseudo[:, 4, 3, 3].tolist()) <= {1, 2}
        assert not torch.equal(one.unlabeled.image, other.unlabeled.image)


@pytest.mark.parametrize("axis", ["right", "anterior", "superior"])
def test_in_two_dimensions_it_is_the_voxel_s_slice(cases, axis):
    number = ["right", "anterior", "superior"].index(axis)
    case = replace(cases[0], preparation=replace(cases[0].preparation, slice_axis=number))
    sampler = Sampler([case], [], NoAugmentation(), (6, 6), 0, foreground_share=1.0, structures=((1,),))
    (voxel,) = np.argwhere(case.label() == 1).tolist()
    plane, within = np.take(case.label(), voxel.pop(number), axis=number), (*voxel, 0)
    start = start_around(within, (*plane.shape, 1), (6, 6, 1))
    expected = plane[tuple(slice(s, s + 6) for s in start[:2])].astype(np.int64)
    for step in range(3):
        label = sampler.draw_labeled(step, 0).label.numpy()
        np.testing.assert_array_equal(label, np.where(expected == IGNORED, label, expected))
        assert (label == 1).sum() == 1


def test_an_entry_of_an_earlier_version_gets_counts_once_and_keeps_its_key(tmp_path):
    dataset = Lesions(tmp_path / "data")
    before, _ = store_of(dataset, tmp_path / "store", with_planes=False)
    assert before.labeled("a").planes is None
    dataset.read.clear()
    after, notes = store_of(dataset, tmp_path / "store", with_planes=True)
    assert dataset.read == []
    assert after.labeled("a").label_file == before.labeled("a").label_file
    np.testing.assert_array_equal(after.labeled("a").planes.sum(1), [1, 6 * 5 * 6])
    assert set(before.entries()) < set(after.entries())
    assert len(after.entries()) == len(before.entries()) + 2
    assert "training.foreground_share has no voxel" in " ".join(notes)
    again, _ = store_of(dataset, tmp_path / "store", with_planes=True)
    assert (again.n_made, sorted(again.entries())) == (0, sorted(after.entries()))
