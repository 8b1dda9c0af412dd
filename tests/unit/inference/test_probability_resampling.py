"""Probabilities from a network's grid to a file's voxels, against torch and scipy."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from test_slabs import NONE, PLENTY, predicted, predictor, volume
from torch.nn.functional import interpolate

from semiseg.inference.image import Member
from semiseg.inference.resampling import Taps, resampled
from semiseg.preprocessing.prepare import prepare
from semiseg.recipe import schema

GRID, FILE = (13, 20, 40), (21, 20, 27)


def resample(values, along, file=FILE, apart=None, block=5):
    taps = [Taps.of(n, m, axis == apart) for axis, (n, m) in enumerate(zip(values.shape[1:], file, strict=True))]
    across = [taps[axis] for axis in range(3) if axis != along]
    moved = values.movedim(1 + along, 1)
    blocks = (moved[:, first : first + block] for first in range(0, moved.shape[1], block))
    return torch.cat([*resampled(blocks, taps[along], tuple(across))], 1).movedim(1, 1 + along)


@pytest.mark.parametrize("along", [0, 1, 2])
@pytest.mark.parametrize("block", [1, 5, 100])
def test_linear_as_in_torch(along, block):
    values = torch.rand((3, *GRID), generator=torch.Generator().manual_seed(0))
    expected = interpolate(values[None].double(), FILE, mode="trilinear", align_corners=False)[0]
    assert (resample(values, along, block=block) - expected).abs().max() <= 1e-6


@pytest.mark.parametrize("along", [0, 1, 2])
@pytest.mark.parametrize("apart", [0, 2])
def test_nearest_along_an_axis_apart_as_in_scipy(along, apart):
    values = torch.rand((2, *GRID), generator=torch.Generator().manual_seed(1))
    places = [(np.arange(m) + 0.5) * n / m - 0.5 for n, m in zip(GRID, FILE, strict=True)]
    places[apart] = np.floor(places[apart] + 0.5)
    at = np.meshgrid(*places, indexing="ij")
    expected = np.stack([map_coordinates(one.double().numpy(), at, order=1, mode="nearest") for one in values])
    np.testing.assert_allclose(resample(values, along, apart=apart).numpy(), expected, atol=1e-6)


def test_two_voxels_to_five_by_hand():
    # Centers of five voxels over two: -0.3, 0.1, 0.5, 0.9 and 1.3, clamped to 0 and 1.
    taps = Taps.of(2, 5)
    np.testing.assert_allclose(taps.apply(torch.tensor([[0.0, 10.0]]), 1)[0], [0, 1, 5, 9, 10], atol=1e-5)
    assert Taps.of(2, 5, nearest=True).apply(torch.tensor([[0.0, 10.0]]), 1)[0].tolist() == [0, 0, 10, 10, 10]


def test_a_part_is_resampled_as_in_the_whole():
    values = torch.rand(1, 13)
    for nearest in (False, True):
        taps = Taps.of(13, 21, nearest)
        for first, last in ((0, 4), (7, 8), (15, 21)):
            part = taps.cut(first, last)
            found = part.apply(values[:, slice(*part.span)], 1)
            assert torch.equal(found, taps.apply(values, 1)[:, first:last])


def test_a_grid_that_is_the_file_s_is_passed_on():
    blocks = [torch.rand(2, 3, 4, 5), torch.rand(2, 1, 4, 5)]
    same = Taps.of(4, 4)
    assert [*resampled(blocks, same, (Taps.of(4, 4), Taps.of(5, 5)))] == blocks


class Resampled(Member):
    """A model whose images are resampled."""

    def prepare(self, volume, where):
        prepared = prepare(volume, self.preprocessing, where)
        array = torch.from_numpy(prepared.normalized())[None]
        grid = interpolate(array, (25, 41, 70), mode="trilinear", align_corners=False)[0].numpy()
        preparation = dataclasses.replace(prepared.preparation, grid=(25, 41, 70), apart=2)
        return Stub(grid, preparation)


@dataclasses.dataclass
class Stub:
    grid: np.ndarray
    preparation: object

    def normalized(self):
        return self.grid


def test_images_on_another_grid_are_predicted_in_their_file_s_voxels():
    member = Resampled(predictor((16, 16, 12)), schema.Preprocessing())
    prepared = member.prepare(volume(), "")
    probabilities = member.predictor.probabilities(prepared.grid)
    box = prepared.preparation.box_shape
    expected = resample(probabilities, 0, box, apart=2)
    expected_labels = prepared.preparation.restore(expected.argmax(0).numpy().astype(np.uint8))
    place = (slice(None), *(slice(*side) for side in prepared.preparation.box))
    for limit in (PLENTY, NONE):
        labels, found = predicted([member], limit)
        np.testing.assert_allclose(found[place], expected.numpy(), atol=1e-6)
        np.testing.assert_array_equal(labels, expected_labels)
    together, mean = predicted([member, Member(member.predictor, member.preprocessing)], NONE)
    _, other = predicted([Member(member.predictor, member.preprocessing)], PLENTY)
    np.testing.assert_allclose(mean[place], (expected.numpy() + other[place]) / 2, atol=1e-6)
    assert together.shape == volume().geometry.shape
