import numpy as np
import pytest
import torch
from helpers_memory import LivePeak
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from semiseg.codings.classes import highest
from semiseg.inference.sliding_window import Predictor
from semiseg.recipe import schema
from semiseg.strategies.cps import CrossPseudoSupervision
from semiseg.strategies.supervised import Supervised, SupervisedOptions


class Voxelwise(nn.Module):
    """Logits that depend on the voxel alone, so that windows cannot matter."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        return torch.cat([x * 0, x * self.slope, x - 1], 1)


def supervised(net):
    return Supervised(SupervisedOptions(), {"model": net})


@pytest.mark.parametrize("shape", [(20, 17, 9), (8, 8, 8), (5, 30, 8), (3, 4, 2)])
@pytest.mark.parametrize("weighting", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_windows_leave_no_trace(shape, weighting, overlap):
    options = schema.Inference(overlap=overlap, weighting=weighting, batch_size=3)
    image = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    net = Voxelwise(2.0)
    found = Predictor(supervised(net), (8, 8, 8), options, "cpu").probabilities(image)
    expected = torch.softmax(Voxelwise(2.0)(torch.from_numpy(image)[None]), 1)[0]
    assert found.shape == (3, *shape)
    assert torch.allclose(found, expected, atol=1e-5)
    assert {s[2:] for s in net.shapes} == {(8, 8, 8)}
    assert max(s[0] for s in net.shapes) <= 3


def test_the_class_of_the_highest_mean_confidence_wins():
    # The networks disagree: their mean confidence decides, not either of them and not their mean logits.
    nets = {"student_a": Voxelwise(0.0), "student_b": Voxelwise(9.0)}
    strategy = CrossPseudoSupervision(CrossPseudoSupervision.Options(), nets)
    image = np.random.default_rng(1).normal(size=(1, 6, 6, 6)).astype(np.float32)
    x = torch.from_numpy(image)[None]
    mean = (torch.softmax(nets["student_a"](x), 1) + torch.softmax(nets["student_b"](x), 1)) / 2
    labels = Predictor(strategy, (8, 8, 8), schema.Inference(), "cpu").labels(image)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, mean.argmax(1)[0].numpy())


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_highest_class_is_the_first_of_equals(n_classes, seed):
    values = np.random.default_rng(seed).integers(0, 3, (n_classes, 3, 4, 2)).astype(np.float32)
    labels = highest(torch.from_numpy(values))
    assert labels.dtype == torch.uint8
    np.testing.assert_array_equal(labels.numpy(), values.argmax(0))


class ManyClasses(Voxelwise):
    def forward(self, x):
        return torch.cat([x * k for k in range(14)], 1)


def test_the_probabilities_of_an_image_are_held_once():
    image = np.random.default_rng(2).normal(size=(1, 32, 32, 32)).astype(np.float32)
    predictor = Predictor(supervised(ManyClasses(1.0)), (8, 8, 8), schema.Inference(overlap=0.0), "cpu")
    with LivePeak() as live:
        predictor.labels(image)
    probabilities = 14 * 32**3 * 4
    assert probabilities < live.peak < 1.25 * probabilities


def test_prediction_is_in_eval_mode():
    class Watch(Voxelwise):
        def forward(self, x):
            assert not self.training
            assert not torch.is_grad_enabled()
            return super().forward(x)

    strategy = supervised(Watch(1.0)).train()
    Predictor(strategy, (8, 8, 8), schema.Inference(), "cpu").labels(np.zeros((1, 8, 8, 8), np.float32))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_is_predicted_slice_by_slice(axis):
    image = np.random.default_rng(3).normal(size=(1, 11, 9, 6)).astype(np.float32)
    net = Voxelwise(2.0)
    predictor = Predictor(supervised(net), (8, 8), schema.Inference(batch_size=4), "cpu")
    found = predictor.probabilities(image, axis)
    expected = torch.softmax(Voxelwise(2.0)(torch.from_numpy(image)[None]), 1)[0]
    assert torch.allclose(found, expected, atol=1e-5)
    assert {s[2:] for s in net.shapes} == {(8, 8)}
    assert max(s[0] for s in net.shapes) == 4  # windows of several slices share a forward pass
    np.testing.assert_array_equal(predictor.labels(image, axis), highest(found).numpy())


class SliceMean(nn.Module):
    """Logits that depend on the whole window, so that a window of two slices would show."""

    def forward(self, x):
        mean = x.mean(dim=(2, 3), keepdim=True).expand_as(x)
        return torch.cat([mean, -mean], 1)


def test_no_slice_sees_another():
    image = np.random.default_rng(4).normal(size=(1, 8, 8, 5)).astype(np.float32)
    predictor = Predictor(supervised(SliceMean()), (8, 8), schema.Inference(batch_size=3), "cpu")
    whole = predictor.probabilities(image)
    for z in range(5):
        alone = predictor.probabilities(image[..., z : z + 1])
        assert torch.allclose(whole[..., z : z + 1], alone, atol=1e-6)
