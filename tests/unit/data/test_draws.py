"""Phases of a training that draw different numbers of samples, and the batches that they make."""

import pytest
import torch
from test_training_batches import PATCH, assert_same, cases  # noqa: F401 (a fixture)

from semiseg.augmentation.fused import FusedAugmentation
from semiseg.augmentation.luque2023 import Luque2023Augmentation
from semiseg.data.batches import TrainingBatches
from semiseg.data.draws import Counts, Draws, Phase

WAIT = Draws.of([Phase(0, 3, Counts(4, 0)), Phase(3, 6, Counts(2, 2))])


def batches(cases, draws=WAIT, workers=0, augmentation=None, **more):  # noqa: F811
    return TrainingBatches(*cases, augmentation or Luque2023Augmentation(), PATCH, draws, 1, workers, **more)


def test_phases_follow_one_another():
    parts = [Phase(0, 0, Counts(9, 9)), Phase(0, 2, Counts(4, 0)), Phase(2, 5, Counts(4, 0)), Phase(5, 9, Counts(2, 2))]
    draws = Draws.of(parts)

    assert draws.phases == (Phase(0, 5, Counts(4, 0)), Phase(5, 9, Counts(2, 2)))
    assert [draws.at(step) for step in (0, 4, 5, 8)] == [(4, 0), (4, 0), (2, 2), (2, 2)]
    assert draws.kinds == ((4, 0), (2, 2))
    assert draws.n_samples == 9 * 4
    assert draws.described() == "5 steps of 4 labeled, then 4 steps of 2 labeled and 2 unlabeled"
    assert Draws.same(1, 3).at(10**12) == Counts(1, 3)


def test_a_step_has_the_samples_of_its_phase(cases):  # noqa: F811
    found = list(batches(cases).steps(0, 6))

    for batch in found[:3]:
        assert (batch.labeled.count, batch.labeled.slots) == (4, (0, 1, 2, 3))
        assert (batch.unlabeled.count, len(batch.unlabeled)) == (0, 0)
        assert batch.unlabeled.image.shape == (0, 2, *PATCH)
    for batch in found[3:]:
        assert (batch.labeled.count, batch.labeled.slots) == (2, (0, 1))
        assert (batch.unlabeled.count, batch.unlabeled.slots) == (2, (2, 3))


def test_a_sample_depends_on_its_slot_and_not_on_what_else_is_drawn(cases):  # noqa: F811
    """So that a method and its control see the same labeled samples."""
    (whole,) = batches(cases).steps(1, 2)
    (half,) = batches(cases, Draws.same(2, 2)).steps(1, 2)

    assert torch.equal(whole.labeled.image[:2], half.labeled.image)
    assert torch.equal(whole.labeled.label[:2], half.labeled.label)
    assert whole.labeled.cases[:2] == half.labeled.cases


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_that_resumes_within_a_phase_goes_on_with_it(cases, workers):  # noqa: F811
    expected = list(batches(cases).steps(0, 6))

    for one, two in zip(batches(cases, workers=workers).steps(2, 6), expected[2:], strict=True):
        assert_same(one, two)


def test_processes_share_every_phase(cases):  # noqa: F811
    for step, slots in ((0, {0: (0, 2), 1: (1, 3)}), (3, {0: (0, 2), 1: (1, 3)})):
        for rank, expected in slots.items():
            (part,) = batches(cases, rank=rank, world=2).steps(step, step + 1)
            assert part.labeled.slots + part.unlabeled.slots == expected
            assert (part.labeled.count, part.unlabeled.count) == WAIT.at(step)


def test_on_the_device_a_filled_step_is_augmented_as_by_workers(cases):  # noqa: F811
    fused = FusedAugmentation(FusedAugmentation.Options(probability=0.7))
    late = batches(cases, augmentation=fused, deferred=True)
    (raw,), (expected,) = late.steps(2, 3), batches(cases, augmentation=fused).steps(2, 3)
    made = late.finish(raw, 2)

    assert made.labeled.slots == expected.labeled.slots == (0, 1, 2, 3)
    assert made.unlabeled.image.shape == (0, 2, *PATCH)
    torch.testing.assert_close(made.labeled.image, expected.labeled.image, atol=2e-3, rtol=1e-3)


def test_a_stream_without_cases_is_refused_in_any_phase(cases):  # noqa: F811
    with pytest.raises(ValueError, match="2 unlabeled samples per step requested, but there are no unlabeled cases"):
        batches((cases[0], []))
