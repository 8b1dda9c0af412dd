"""Pseudo-labels travel with their image; targets are made of augmented labels; groups stay together."""

import numpy as np
import pytest
import torch
from made_dataset import MadeDataset

from semiseg.augmentation.fused import FusedAugmentation
from semiseg.augmentation.luque2023 import Luque2023Augmentation
from semiseg.data.batches import TrainingBatches
from semiseg.data.case_records import StoredPseudo
from semiseg.data.draws import Draws
from semiseg.data.samples import Sampler
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.errors import DataError
from semiseg.interfaces.strategy import BatchNeeds, StreamNeeds, Target
from semiseg.recipe import schema

PATCH = (16, 8, 12)


def count_of_each_class(labels, n_classes):
    """For each class but background how many voxels of the sample have it, at every voxel."""
    counts = torch.stack([(labels == k).flatten(1).sum(1).float() for k in range(1, n_classes)], dim=1)
    return counts[..., None, None, None].expand(-1, -1, *labels.shape[1:]).contiguous()


NEEDS = BatchNeeds(targets=(Target("count", count_of_each_class),))


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    root = tmp_path_factory.mktemp("pseudo")
    dataset = MadeDataset(root / "data", 3)
    split = make_split(dataset.cases(), schema.Split(labeled=3), 0)
    store = CaseStore(dataset, schema.Preprocessing(), split, root / "store")
    store.fill(dataset.cases())
    return [store.labeled(case.id) for case in split.labeled]


@pytest.fixture(scope="module")
def pseudo(labeled, tmp_path_factory):
    """The same cases with their own label as pseudo-label: what comes out has to be alike."""
    folder = tmp_path_factory.mktemp("labels")
    for case in labeled:
        np.save(folder / f"{case.case_id}.npy", case.label())
    return [StoredPseudo(c.case_id, c.image_file, c.preparation, folder / f"{c.case_id}.npy") for c in labeled]


@pytest.mark.parametrize("augmentation", [Luque2023Augmentation(), FusedAugmentation()])
def test_a_pseudo_label_moves_with_its_image_as_a_label_does(labeled, pseudo, augmentation):
    sampler = Sampler(labeled, pseudo, augmentation, PATCH, 0)
    seen = set()
    for step in range(6):
        one, other = sampler.draw_labeled(step, 1), sampler.draw_unlabeled(step, 1)
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.label, other.pseudo)
        seen |= set(other.pseudo.unique().tolist())
    assert seen == {0, 1}


def batches(labeled, unlabeled, workers=0, augmentation=None, needs=NEEDS, **more):
    size = Draws.same(labeled=2, unlabeled=more.pop("unlabeled_size", 2))
    made = augmentation or FusedAugmentation()
    return TrainingBatches(labeled, unlabeled, made, PATCH, size, 1, workers, needs=needs, n_classes=2, **more)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_pseudo_labels_are_served_from_the_next_call_on(labeled, pseudo, workers):
    served = batches(labeled, labeled, workers)
    (before,) = served.steps(0, 1)
    served.serve_unlabeled(pseudo)
    (after,) = served.steps(0, 1)
    assert before.unlabeled.pseudo is None
    assert (after.unlabeled.pseudo.shape, after.unlabeled.pseudo.dtype) == ((2, *PATCH), torch.int64)
    assert torch.equal(before.unlabeled.image, after.unlabeled.image)


def test_a_share_without_unlabeled_samples_has_empty_pseudo_labels(labeled, pseudo):
    (batch,) = batches(labeled, pseudo, rank=1, world=2, unlabeled_size=1).steps(0, 1)
    assert batch.unlabeled.pseudo.shape == (0, *PATCH)
    assert batch.part(slice(0, 1), slice(0, 0)).unlabeled.pseudo.shape == (0, *PATCH)


@pytest.mark.parametrize("deferred", [False, True])
def test_on_the_device_or_in_workers_it_is_the_same(labeled, pseudo, deferred):
    made = batches(labeled, pseudo, deferred=deferred)
    (raw,) = made.steps(3, 4)
    assert ("count" in raw.labeled.targets) != deferred
    batch = made.finish(raw, 3)
    (expected,) = batches(labeled, pseudo).steps(3, 4)
    assert torch.equal(batch.unlabeled.pseudo, expected.unlabeled.pseudo)
    assert torch.equal(batch.labeled.targets["count"], expected.labeled.targets["count"])


@pytest.mark.parametrize("workers", [0, 1])
def test_targets_are_of_the_augmented_labels_and_go_with_their_samples(labeled, workers):
    (batch,) = batches(labeled, labeled, workers, Luque2023Augmentation()).steps(2, 3)
    target = batch.labeled.targets["count"]
    assert torch.equal(target, count_of_each_class(batch.labeled.label, 2))
    assert len(target.unique()) == 2
    second = batch.part(slice(1, 2), slice(0, 0))
    assert torch.equal(second.labeled.targets["count"], target[1:])
    assert batch.apply(torch.Tensor.double).labeled.targets["count"].dtype == torch.float64


def test_a_pseudo_label_that_is_gone_names_its_case(labeled, pseudo, tmp_path):
    gone = [StoredPseudo(c.case_id, c.image_file, c.preparation, tmp_path / "none.npy") for c in pseudo[:1]]
    with pytest.raises(DataError, match=f"case {gone[0].case_id} "):
        list(batches(labeled, gone).steps(0, 1))


def test_processes_keep_the_groups_that_a_strategy_needs(labeled):
    needs = BatchNeeds(unlabeled=StreamNeeds(unit=2))
    found = [
        next(batches(labeled, labeled, needs=needs, rank=rank, world=2, unlabeled_size=4).steps(0, 1)).unlabeled.slots
        for rank in (0, 1)
    ]
    assert found == [(2, 3), (4, 5)]
