import torch
from hypothesis import given
from hypothesis import strategies as st

from semiseg.engine.step_modes import micro_batches
from semiseg.interfaces.batch import Batch, LabeledStream, UnlabeledStream
from semiseg.interfaces.strategy import BatchNeeds, StreamNeeds


def make(labeled, unlabeled):
    def fields(first, n):
        image = torch.arange(first, first + n).float().reshape(n, 1, 1, 1, 1)
        slots = tuple(range(first, first + n))
        return image, n, slots, tuple(f"case{slot}" for slot in slots)

    label = torch.arange(labeled).reshape(labeled, 1, 1, 1)
    return Batch(LabeledStream(*fields(0, labeled), label), UnlabeledStream(*fields(labeled, unlabeled)))


def slots(parts):
    return [(part.labeled.slots, part.unlabeled.slots) for part in parts]


def test_both_streams_are_spread_over_the_parts():
    assert slots(micro_batches(make(2, 2), 2, BatchNeeds())) == [((0,), (2,)), ((1,), (3,))]
    assert slots(micro_batches(make(2, 2), 3, BatchNeeds())) == [((0, 1), (2,)), ((), (3,))]
    assert slots(micro_batches(make(4, 2), 3, BatchNeeds())) == [((0, 1), (4,)), ((2, 3), (5,))]


def test_samples_that_belong_together_stay_together():
    needs = BatchNeeds(unlabeled=StreamNeeds(unit=2))
    assert slots(micro_batches(make(2, 4), 3, needs)) == [((0,), (2, 3)), ((1,), (4, 5))]
    assert slots(micro_batches(make(0, 4), 1, needs)) == [((), (0, 1)), ((), (2, 3))]


def test_a_batch_that_fits_is_itself():
    batch = make(2, 1)
    for size in (None, 3, 9):
        assert micro_batches(batch, size, BatchNeeds()) == [batch]
    empty = make(0, 0)
    assert micro_batches(empty, 1, BatchNeeds()) == [empty]


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 10))
def test_every_sample_once_in_parts_that_fit(labeled, unlabeled, size):
    batch = make(labeled, unlabeled)
    parts = micro_batches(batch, size, BatchNeeds())
    assert max(len(part.labeled) + len(part.unlabeled) for part in parts) <= size
    assert len(parts) == max(1, -(-(labeled + unlabeled) // size))
    for name in ("labeled", "unlabeled"):
        whole, cut = getattr(batch, name), [getattr(part, name) for part in parts]
        assert all(stream.count == whole.count for stream in cut)
        assert tuple(slot for stream in cut for slot in stream.slots) == whole.slots
        assert tuple(case for stream in cut for case in stream.cases) == whole.cases
        assert torch.equal(torch.cat([stream.image for stream in cut]), whole.image)
        sizes = [len(stream) for stream in cut]
        share = len(whole) * size / max(labeled + unlabeled, 1)
        assert all(abs(n - share) <= 1 for n in sizes[:-1])  # spread evenly; the last part is what is left
    assert torch.equal(torch.cat([part.labeled.label for part in parts]), batch.labeled.label)
