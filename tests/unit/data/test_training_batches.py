"""Batches depend on (seed, step, slot) alone; streams, ranks and failures."""

import multiprocessing
import os
import signal
from functools import partial

import numpy as np
import pytest
import torch
from made_dataset import Dies, HasADefect, MadeDataset, Refuses

from semiseg.augmentation.fused import FusedAugmentation
from semiseg.augmentation.luque2023 import Luque2023Augmentation
from semiseg.augmentation.none import NoAugmentation
from semiseg.data.batches import TrainingBatches
from semiseg.data.draws import Draws
from semiseg.data.samples import Sampler
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.errors import DataError, TrainingError
from semiseg.interfaces.batch import Batch
from semiseg.recipe import schema

PATCH = (16, 8, 12)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    root = tmp_path_factory.mktemp("batches")
    dataset = MadeDataset(root / "data", 6)
    split = make_split(dataset.cases(), schema.Split(labeled=2), 0)
    store = CaseStore(dataset, schema.Preprocessing(), split, root / "store")
    store.fill(dataset.cases())
    return [store.labeled(c.id) for c in split.labeled], [store.image(c.id) for c in split.unlabeled]


def batches(cases, labeled=2, unlabeled=3, seed=1, workers=0, augmentation=None, **ranks):
    size = Draws.same(labeled=labeled, unlabeled=unlabeled)
    return TrainingBatches(*cases, augmentation or Luque2023Augmentation(), PATCH, size, seed, workers, **ranks)


def assert_same(one: Batch, two: Batch):
    assert torch.equal(one.labeled.image, two.labeled.image)
    assert torch.equal(one.labeled.label, two.labeled.label)
    assert torch.equal(one.unlabeled.image, two.unlabeled.image)
    assert (one.labeled.cases, one.unlabeled.cases) == (two.labeled.cases, two.unlabeled.cases)
    assert (one.labeled.slots, one.unlabeled.slots) == (two.labeled.slots, two.unlabeled.slots)


def test_shapes_types_and_counts(cases):
    (batch,) = batches(cases).steps(5, 6)
    assert (batch.labeled.image.shape, batch.labeled.image.dtype) == ((2, 2, *PATCH), torch.float32)
    assert (batch.labeled.label.shape, batch.labeled.label.dtype) == ((2, *PATCH), torch.int64)
    assert batch.unlabeled.image.shape == (3, 2, *PATCH)
    assert (batch.labeled.count, batch.unlabeled.count) == (2, 3)
    assert (batch.labeled.slots, batch.unlabeled.slots) == ((0, 1), (2, 3, 4))


@pytest.mark.slow
def test_neither_workers_nor_start_change_a_sample(cases):
    expected = list(batches(cases).steps(0, 6))
    for workers, start in ((0, 3), (1, 2), (2, 0)):
        made = list(batches(cases, workers=workers).steps(start, 6))
        assert len(made) == 6 - start
        for one, two in zip(made, expected[start:], strict=True):
            assert_same(one, two)


def test_steps_slots_and_seeds_differ(cases):
    first, second = batches(cases).steps(0, 2)
    assert not torch.equal(first.labeled.image, second.labeled.image)
    assert not torch.equal(first.unlabeled.image[0], first.unlabeled.image[1])
    (other,) = batches(cases, seed=2).steps(0, 1)
    assert not torch.equal(first.labeled.image, other.labeled.image)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("ranks", [{}, {"rank": 1, "world": 2}, {"rank": 4, "world": 5}])
def test_augmented_where_it_is_trained_a_batch_is_what_workers_would_have_made(cases, workers, ranks):
    fused = FusedAugmentation(FusedAugmentation.Options(probability=0.7))
    expected = list(batches(cases, augmentation=fused, **ranks).steps(0, 4))
    late = batches(cases, augmentation=fused, workers=workers, deferred=True, **ranks)
    for step, (raw, one) in enumerate(zip(late.steps(0, 4), expected, strict=True)):
        assert raw.unlabeled.image.shape[2:] == fused.source_size(PATCH)
        made = late.finish(raw, step)
        assert (made.labeled.slots, made.labeled.cases) == (one.labeled.slots, one.labeled.cases)
        assert made.labeled.label.dtype == torch.int64
        assert made.labeled.label.shape == one.labeled.label.shape
        assert (made.labeled.label == one.labeled.label).float().mean() > 0.999 or not len(one.labeled)
        for found, wanted in ((made.labeled, one.labeled), (made.unlabeled, one.unlabeled)):
            torch.testing.assert_close(found.image, wanted.image, atol=2e-3, rtol=1e-3)


def test_what_is_not_deferred_is_finished(cases):
    made = batches(cases)
    (batch,) = made.steps(0, 1)
    assert made.finish(batch, 0) is batch


@pytest.mark.parametrize("workers", [0, 1])
def test_the_caller_s_state_is_left_alone(cases, workers, request):
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(2)
    torch.manual_seed(11)
    np.random.seed(11)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    list(batches(cases, workers=workers).steps(0, 2))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.get_num_threads() == 2


def test_ranks_share_the_same_batch(cases):
    (whole,) = batches(cases).steps(3, 4)
    for world in (2, 3, 4):
        parts = [next(batches(cases, rank=rank, world=world).steps(3, 4)) for rank in range(world)]
        for name in ("labeled", "unlabeled"):
            stream = getattr(whole, name)
            pieces = [getattr(part, name) for part in parts]
            assert all(piece.count == stream.count for piece in pieces)
            slots = [slot for piece in pieces for slot in piece.slots]
            assert sorted(slots) == list(stream.slots)
            images = torch.cat([piece.image for piece in pieces])[np.argsort(slots)]
            assert torch.equal(images, stream.image)
    assert parts[3].labeled.image.shape == (0, 2, *PATCH)
    assert (parts[3].labeled.label.shape, parts[3].labeled.label.dtype) == ((0, *PATCH), torch.int64)


def test_a_stream_may_have_no_samples(cases):
    (batch,) = batches((cases[0], []), unlabeled=0).steps(0, 1)
    assert batch.unlabeled.image.shape == (0, 2, *PATCH)
    assert batch.unlabeled.count == 0


def test_what_cannot_be_drawn_is_refused(cases):
    with pytest.raises(ValueError, match="1 unlabeled samples per step requested, but there are no unlabeled cases"):
        batches((cases[0], []), 2, 1)


def test_unlabeled_samples_have_no_label(cases):
    sampler = Sampler(*map(tuple, cases), Luque2023Augmentation(), PATCH, 0)
    sample = sampler.draw_unlabeled(0, 4)
    assert not any("label" in name for name in dir(sample))
    (batch,) = batches(cases).steps(0, 1)
    assert not hasattr(batch.unlabeled, "label")


def test_cases_are_drawn_alike_often(cases):
    sampler = Sampler(*map(tuple, cases), NoAugmentation(), PATCH, 0)
    drawn = [sampler.draw_unlabeled(step, 0).case_id for step in range(400)]
    counts = [drawn.count(case.case_id) for case in cases[1]]
    assert sum(counts) == 400
    assert all(60 < n < 140 for n in counts)


def test_a_sample_is_a_place_in_its_case(cases):
    """Without augmentation, image and label are the same box of a case that has that id."""
    sampler = Sampler(*map(tuple, cases), NoAugmentation(), PATCH, 0)
    stored = {case.case_id: case for case in cases[0]}
    for step in range(5):
        sample = sampler.draw_labeled(step, 0)
        case = stored[sample.case_id]
        image, label = case.image(), case.label()
        places = [
            (x, y, z)
            for x in range(case.shape[0] - PATCH[0] + 1)
            for y in range(case.shape[1] - PATCH[1] + 1)
            for z in range(case.shape[2] - PATCH[2] + 1)
        ]
        boxes = [tuple(slice(s, s + n) for s, n in zip(place, PATCH, strict=True)) for place in places]
        found = [box for box in boxes if np.array_equal(image[(slice(None), *box)], sample.image)]
        assert len(found) == 1
        np.testing.assert_array_equal(label[found[0]], sample.label)


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_come_as_they_were_raised(cases, workers):
    with pytest.raises(DataError) as error:
        list(batches(cases, workers=workers, augmentation=Refuses()).steps(0, 2))
    assert [problem.where for problem in error.value.problems] == ["here", "there"]
    assert error.value.problems[0].fix == "mend it"


def test_a_defect_shows_where_it_was(cases):
    with pytest.raises(ZeroDivisionError) as error:
        list(batches(cases, workers=1, augmentation=HasADefect()).steps(0, 2))
    assert any("made_dataset.py" in note for note in error.value.__notes__)


def test_a_killed_worker_is_told_with_what_helps(cases):
    with pytest.raises(TrainingError, match=r"killed(.|\n)*training\.workers=0"):
        list(batches(cases, workers=1, augmentation=Dies()).steps(0, 2))


def test_workers_outlive_signals_to_the_process_group_and_end_with_the_iterator(cases):
    steps = batches(cases, workers=1).steps(0, 50)
    first = next(steps)
    (worker,) = multiprocessing.active_children()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        os.kill(worker.pid, signum)
    for _ in range(8):
        assert next(steps).labeled.count == first.labeled.count
    steps.close()
    assert not worker.is_alive()
    assert multiprocessing.active_children() == []


class Marked(NoAugmentation):
    """Adds 1 to images; its weak form leaves them as they are."""

    def geometric(self):
        return NoAugmentation()

    def __call__(self, image, label, patch_size):
        return image + 1, label


@pytest.mark.parametrize("workers", [0, 1])
def test_weak_views_are_of_unlabeled_samples_alone(cases, workers):
    (plain,) = batches(cases, augmentation=NoAugmentation()).steps(2, 3)
    (weak,) = batches(cases, augmentation=Marked(), workers=workers, weak=Marked().geometric()).steps(2, 3)
    (strong,) = batches(cases, augmentation=Marked()).steps(2, 3)

    assert torch.equal(weak.labeled.image, plain.labeled.image + 1)
    assert torch.equal(weak.unlabeled.image, plain.unlabeled.image)
    assert torch.equal(strong.unlabeled.image, plain.unlabeled.image + 1)


@pytest.mark.parametrize("kind", [Luque2023Augmentation, FusedAugmentation])
def test_a_weak_view_has_the_place_and_the_pose_of_the_sample(cases, kind):
    """The same voxels, with the intensities that they have in the image."""
    options = kind.Options(probability=1, scaling=(1, 1), rotation=0)  # flips alone, which are exact
    (full,) = batches(cases, augmentation=kind(options)).steps(2, 3)
    (weak,) = batches(cases, augmentation=kind(options), weak=kind(options).geometric()).steps(2, 3)
    (plain,) = batches(cases, augmentation=NoAugmentation()).steps(2, 3)

    assert torch.equal(weak.labeled.image, full.labeled.image)
    assert not torch.equal(weak.unlabeled.image, full.unlabeled.image)
    assert torch.equal(weak.unlabeled.image, plain.unlabeled.image.flip(2, 3, 4))  # all axes, with probability 1


def test_on_the_device_weak_views_are_as_by_workers(cases):
    fused = FusedAugmentation(FusedAugmentation.Options(probability=0.7))
    (expected,) = batches(cases, augmentation=fused, weak=fused.geometric()).steps(2, 3)
    late = batches(cases, augmentation=fused, weak=fused.geometric(), deferred=True)
    made = late.finish(next(late.steps(2, 3)), 2)

    torch.testing.assert_close(made.unlabeled.image, expected.unlabeled.image, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(made.labeled.image, expected.labeled.image, atol=2e-3, rtol=1e-3)
