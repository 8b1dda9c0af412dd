import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_dataset import SHAPE, MadeDataset

from semiseg.data.samples import around, center_patch, random_start, read_label_patch, read_patch
from semiseg.data.split import make_split
from semiseg.data.store import CaseStore
from semiseg.recipe import schema

sizes = st.tuples(*[st.integers(1, 12)] * 3)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    root = tmp_path_factory.mktemp("patches")
    dataset = MadeDataset(root / "data", 2)
    split = make_split(dataset.cases(), schema.Split(labeled=2), 0)
    store = CaseStore(dataset, schema.Preprocessing(), split, root / "store")
    store.fill(dataset.cases())
    return store.labeled("a")


def test_the_box_is_the_foreground(stored):
    # The box of zeros around it is 2, 3 and 1 voxels wide at the near end; axes are turned from L, P.
    assert stored.shape == (16, 12, 13) != SHAPE
    assert stored.image().shape == (2, 16, 12, 13)


@given(start=st.tuples(*[st.integers(-30, 30)] * 3), size=sizes)
def test_a_patch_is_the_box_of_the_padded_image(stored, start, size):
    padded = np.pad(stored.image(), [(0, 0)] + [(45, 45)] * 3)
    padded_label = np.pad(stored.label(), 45)
    box = tuple(slice(s + 45, s + 45 + n) for s, n in zip(start, size, strict=True))
    np.testing.assert_array_equal(read_patch(stored, start, size), padded[(slice(None), *box)])
    np.testing.assert_array_equal(read_label_patch(stored, start, size), padded_label[box])


def test_the_center_patch_of_small_and_large_axes():
    array = np.arange(5, dtype=np.int16).reshape(5, 1, 1) + 1
    assert center_patch(array, (3, 1, 1)).flatten().tolist() == [2, 3, 4]
    assert center_patch(array, (9, 1, 1)).flatten().tolist() == [0, 0, 1, 2, 3, 4, 5, 0, 0]
    assert center_patch(array[None], (3, 3, 1))[0, :, :, 0].tolist() == [[0, 2, 0], [0, 3, 0], [0, 4, 0]]


def test_starts_are_uniform_over_the_places_within():
    torch.manual_seed(0)
    starts = [random_start((10, 4, 3), (7, 4, 8)) for _ in range(4000)]
    counts = np.bincount([x for x, _, _ in starts], minlength=4)
    assert len(counts) == 4
    assert np.abs(counts - 1000).max() < 150
    assert {(y, z) for _, y, z in starts} == {(0, -3)}


@given(st.tuples(*[st.integers(-5, 50)] * 3), sizes, st.tuples(*[st.integers(0, 4)] * 3))
def test_a_larger_box_has_the_same_center(start, size, margin):
    larger = tuple(n + 2 * m for n, m in zip(size, margin, strict=True))
    begin = around(start, size, larger)
    assert [2 * b + n for b, n in zip(begin, larger, strict=True)] == [
        2 * s + n for s, n in zip(start, size, strict=True)
    ]
