"""What a prediction takes, against what it does take."""

import numpy as np
import pytest
import torch
from torch import nn

from semiseg.inference import estimate
from semiseg.inference.estimate import PIECE, Subject, choose_way, memory_limit, window_count
from semiseg.inference.sliding_window import Predictor
from semiseg.inference.windows import whole
from semiseg.recipe import schema
from semiseg.strategies.supervised import Supervised, SupervisedOptions


class Counting(nn.Module):
    """Two classes; counts the windows that it sees."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return torch.cat([x, -x], 1)


@pytest.mark.parametrize("shape", [(20, 17, 9), (8, 8, 8), (5, 30, 8), (16, 9, 24)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8, 0.95])
def test_windows_are_counted_as_they_are_laid(shape, overlap):
    net = Counting()
    strategy = Supervised(SupervisedOptions(), {"model": net})
    predictor = Predictor(strategy, (8, 8, 8), schema.Inference(overlap=overlap, batch_size=16), "cpu")
    predictor.labels(np.ones((1, *shape), np.float32))
    assert net.seen == window_count(shape, (8, 8, 8), overlap)


def predictor(window=(16, 16, 16), **options):
    return Predictor(Supervised(SupervisedOptions(), {"model": Counting()}), window, schema.Inference(**options), "cpu")


def way(shape, limit, outputs=14, n=1, **options):
    subject = Subject(predictor(**options), 1, outputs, whole(shape), shape)
    return choose_way([subject] * n, shape, whole(shape), limit)


def test_memory_of_a_whole_image_by_hand():
    # A file's voxel: 4 bytes stored, 4 cropped, 4 normalized, two label maps, 14 probabilities and a weight of 4 bytes.
    # In work are six planes of 64 x 64 voxels.
    found = way((64, 64, 64), 10**9)
    assert found.memory == 64**3 * (12 + 2 + 15 * 4) + max(6 * 64**2 * 14 * 4, 3 * PIECE)
    assert (found.whole, found.parts) == (True, (whole((64, 64, 64)),))


def test_memory_of_slabs_by_hand():
    # Along the longest axis: 16 planes are incomplete. A window's outputs are there three times.
    found = way((64, 64, 200), 60 * 2**20)
    image = 64 * 64 * 200 * (12 + 2)
    slab = 16 * 64 * 64 * 15 * 4
    assert found.memory == image + slab + 3 * 16**3 * 14 * 4 + 3 * PIECE
    assert (found.whole, found.axis, len(found.parts)) == (False, 2, 1)


def test_windows_of_a_batch_may_need_more_planes():
    # A layer has one window: with 3 in a batch, windows at 0, 8 and 16 of 16 planes are incomplete at once.
    one, three = (way((16, 16, 400), 0, batch_size=n) for n in (1, 3))
    assert three.memory - one.memory == 16 * 16**2 * 15 * 4 + 2 * 3 * 16**3 * 14 * 4


def test_the_limit_is_kept_by_parts_if_slabs_are_too_large():
    shape, limit = (200, 200, 200), 140 * 2**20
    found = way(shape, limit)
    assert found.memory <= limit
    assert 1 < len(found.parts) < 30
    covered = np.zeros(shape, int)
    for part in found.parts:
        covered[tuple(slice(*span) for span in part)] += 1
    assert (covered == 1).all()
    assert all(last - first >= 16 for part in found.parts for first, last in part)


def test_an_image_that_alone_exceeds_the_limit_is_predicted_in_one_part():
    found = way((64, 64, 64), 1000)
    assert (len(found.parts), found.whole) == (1, False)
    assert 1000 < found.least <= found.memory
    assert not way((64, 64, 64), found.least).least


def test_models_of_an_ensemble_are_counted_together():
    one, two = (way((64, 64, 64), 10**10, n=n).memory for n in (1, 2))
    assert two - one == 64**3 * (8 + 15 * 4) + 3 * PIECE


def test_the_default_limit_is_that_of_a_small_machine_if_it_has_less(monkeypatch):
    monkeypatch.setattr(estimate, "machine_memory", lambda: 100 * 2**30)
    assert memory_limit("auto") == 4 * 2**30
    assert memory_limit(0.5) == 2**29
    monkeypatch.setattr(estimate, "machine_memory", lambda: 2 * 2**30)
    assert memory_limit("auto") == int(0.8 * 2 * 2**30)


def test_a_batch_is_timed_with_the_network():
    net = Counting()
    predictor = Predictor(
        Supervised(SupervisedOptions(), {"model": net}), (8, 8, 8), schema.Inference(batch_size=3), "cpu"
    )
    assert 0 < predictor.seconds_per_batch(1) < 60
    assert net.seen == 6  # the first batch makes ready
