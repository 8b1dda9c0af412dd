"""Each member's probabilities, piece by piece, and pooled features: as those of the whole image, and by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from semiseg.errors import TrainingError
from semiseg.inference import image as images
from semiseg.inference.features import pooled_features
from semiseg.inference.image import Ensemble, Limit, Member
from semiseg.inference.sliding_window import Predictor
from semiseg.interfaces.split import SplitNetwork
from semiseg.recipe import schema
from semiseg.strategies.cps import CPSOptions, CrossPseudoSupervision
from semiseg.types import Geometry, Volume


def volume(shape=(20, 17, 9), seed=0):
    values = np.random.default_rng(seed).normal(100, 10, size=(1, *shape)).astype(np.float32)
    # Left, anterior, inferior: the pieces are of the image turned to R, A, S.
    return Volume(values, Geometry(shape, np.diag([-1.0, 1.0, -2.0, 1.0])))


def strategy(networks):
    return CrossPseudoSupervision(CPSOptions(), networks)


def two_members(patch=(8, 8, 8)):
    """The two networks of a co-training method, each as a member of its own."""
    torch.manual_seed(0)
    conv = nn.Conv3d if len(patch) == 3 else nn.Conv2d
    both = strategy({name: conv(1, 3, 3, padding=1) for name in ("student_a", "student_b")})
    return [
        Member(Predictor(both, patch, schema.Inference(), "cpu", role), schema.Preprocessing())
        for role in both.predicting
    ]


@pytest.mark.parametrize("patch", [(8, 8, 8), (8, 6)])
@pytest.mark.parametrize("limit", [0, 2**40])
def test_each_members_pieces_are_its_probabilities_of_the_whole_image(patch, limit, monkeypatch):
    monkeypatch.setattr(images, "PIECE", 4 * 20 * 17 * 2)  # two planes at once
    members, scan = two_members(patch), volume()
    found = [torch.full((3, 20, 17, 9), torch.nan) for _ in members]
    means, pieces = torch.full((3, 20, 17, 9), torch.nan), []

    def receive_each(part, values):
        pieces.append(part)
        at = (slice(None), *(slice(*span) for span in part))
        for own, piece in zip(found, values, strict=True):
            assert own[at].isnan().all()
            own[at] = piece

    def receive(part, values):
        means[(slice(None), *(slice(*span) for span in part))] = values

    ensemble = Ensemble(members, 3, Limit(limit))
    labels = ensemble.predict(scan, receive=receive, receive_each=receive_each)

    assert len(pieces) > 1
    for member, own in zip(members, found, strict=True):
        prepared = member.prepare(scan, "")
        expected = member.predictor.probabilities(prepared.normalized(), prepared.preparation.slice_axis)
        assert (own - expected).abs().max() <= 1e-6
    torch.testing.assert_close(means, (found[0] + found[1]) / 2, rtol=0, atol=0)
    np.testing.assert_array_equal(labels, ensemble.predict(scan))
    np.testing.assert_array_equal(labels[::-1, :, ::-1], means.argmax(0))


class Halves(nn.Module, SplitNetwork):
    """Features of two levels; the coarsest are the image and its double, in every second voxel along each axis."""

    def encode(self, images):
        coarse = images[(..., *[slice(None, None, 2)] * (images.ndim - 2))]
        return images, torch.cat([coarse, 2 * coarse], 1)

    def decode(self, features):
        return features

    def classify(self, decoded):
        return decoded[0]


def of_halves(patch, **options):
    return Predictor(strategy({"a": Halves(), "b": nn.Identity()}), patch, schema.Inference(**options), "cpu")


def test_features_are_mean_and_deviation_of_the_coarsest_level_over_all_windows():
    # Windows of 4 voxels at 0, 2 and 4 along x: the coarsest level has the voxels 0 2, 2 4 and 4 6.
    scan = np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1)
    found = pooled_features(of_halves((4, 1, 1), overlap=0.5, batch_size=2), "a", scan)

    seen = np.array([0, 2, 2, 4, 4, 6])
    np.testing.assert_allclose(found, [3, 6, seen.std(), 2 * seen.std()])


def test_features_of_slices_are_those_of_all_slices_across_any_axis():
    slices = np.random.default_rng(0).normal(size=(1, 5, 6, 6)).astype(np.float32)
    seen = slices[:, :, ::2, ::2].astype(np.float64)
    expected = [seen.mean(), 2 * seen.mean(), seen.std(), 2 * seen.std()]
    for axis in range(3):
        found = pooled_features(of_halves((6, 6), overlap=0.0), "a", np.moveaxis(slices, 1, 1 + axis), axis)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_features_need_a_network_in_parts_and_finite_values():
    with pytest.raises(TypeError, match="Identity is not a SplitNetwork"):
        pooled_features(of_halves((4, 4, 4)), "b", np.zeros((1, 4, 4, 4), np.float32))
    with pytest.raises(TrainingError, match="features of the network a are not finite"):
        pooled_features(of_halves((4, 4, 4)), "a", np.full((1, 4, 4, 4), np.inf, np.float32))
