"""What a prediction takes, against what it does take."""

import numpy as np
import pytest
import torch
from torch import nn

from semiseg.inference.estimate import prediction_memory, window_count
from semiseg.inference.sliding_window import Predictor
from semiseg.interfaces.strategy import StrategyOptions
from semiseg.recipe import schema
from semiseg.strategies.supervised import Supervised


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
    strategy = Supervised(StrategyOptions(), {"model": net})
    predictor = Predictor(strategy, (8, 8, 8), schema.Inference(overlap=overlap, batch_size=16), "cpu")
    predictor.labels(np.ones((1, *shape), np.float32))
    assert net.seen == window_count(shape, (8, 8, 8), overlap)


def test_memory_by_hand():
    # 3 copies of 2 channels, 4 probabilities, the weight, the highest: 4 bytes each; higher, class: 1 byte each.
    assert prediction_memory((10, 10, 10), 2, 4) == 1000 * (24 + 16 + 4 + 4 + 2)
    assert prediction_memory((400, 400, 400), 1, 5) == pytest.approx(2.5 * 2**30, rel=0.01)


def test_a_batch_is_timed_with_the_network():
    net = Counting()
    predictor = Predictor(
        Supervised(StrategyOptions(), {"model": net}), (8, 8, 8), schema.Inference(batch_size=3), "cpu"
    )
    assert 0 < predictor.seconds_per_batch(1) < 60
    assert net.seen == 6  # the first batch makes ready
