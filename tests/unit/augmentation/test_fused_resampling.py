"""Zoom, rotation and flips in torch and in numba, against scipy and against one another."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from semiseg.augmentation.change import Change
from semiseg.augmentation.fused_numba import apply_change
from semiseg.augmentation.fused_torch import apply_changes
from semiseg.augmentation.intensity import Curve
from semiseg.augmentation.spatial import rotation_matrix, voxel_map

SOURCE, PATCH = (24, 32, 22), (16, 20, 18)
"""In 2D, the first two sides."""
NO_CURVES = (Curve(), Curve())

changes = st.builds(
    Change,
    zoom=st.floats(0.6, 1.6),
    degrees=st.tuples(*(st.floats(-60, 60) for _ in range(3))),
    flips=st.sets(st.integers(0, 2)).map(tuple),
    curves=st.just(NO_CURVES),
)


def in_torch(image, label, change, size=PATCH):
    images, labels = apply_changes(image[None], label[None], [change], size[: label.ndim], True)
    return images[0], labels[0]


def in_numba(image, label, change, size=PATCH):
    return apply_change(image, label, change, size[: label.ndim], True)


each_way = pytest.mark.parametrize("apply", [in_torch, in_numba])


@pytest.fixture(scope="module", params=[3, 2], ids=["3D", "2D"])
def sample(request):
    image = torch.randn((2, *SOURCE[: request.param]), generator=torch.Generator().manual_seed(0))
    return image, (image[0] > 0).long() + 2 * (image[1] > 0.5)


@each_way
@given(change=changes)
@settings(max_examples=40, deadline=None)  # the first example may compile
def test_it_is_what_scipy_interpolates_there(apply, sample, change):
    """Linear with zeros all around, beyond the border too; labels of the nearest voxel."""
    image, label = sample
    dims = label.ndim
    patch = PATCH[:dims]
    # The definition, written down apart: centers on one another, flips last, the rotation's inverse by transposition.
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in patch), indexing="ij")).reshape(dims, -1).astype(float)
    for axis in set(change.flips) & set(range(dims)):
        voxels[axis] = patch[axis] - 1 - voxels[axis]
    middle = (np.array(patch)[:, None] - 1) / 2
    # In the plane, the rotations around x and y are left out.
    rotation = rotation_matrix(change.degrees if dims == 3 else (0, 0, change.degrees[2])).numpy()[:dims, :dims]
    places = rotation.T @ (voxels - middle) / change.zoom
    places += (np.array(label.shape)[:, None] - 1) / 2
    changed, changed_label = apply(image, label, change)
    for channel, values in zip(changed, image, strict=True):
        expected = map_coordinates(values.numpy(), places, order=1, mode="grid-constant").reshape(patch)
        np.testing.assert_allclose(channel, expected, atol=2e-4)
    nearest = map_coordinates(label.numpy(), places, order=0, mode="grid-constant").reshape(patch)
    halfway = (np.abs(places % 1 - 0.5) < 1e-4).any(axis=0).reshape(patch)  # either voxel is the nearest
    assert np.array_equal(changed_label.numpy()[~halfway], nearest[~halfway])


@each_way
@given(flips=st.sets(st.integers(0, 2)))
@settings(max_examples=8)
def test_cutting_and_flipping_alone_is_exact(apply, sample, flips):
    image, label = sample
    changed, changed_label = apply(image, label, Change(flips=tuple(flips), curves=NO_CURVES))
    middle = (slice(4, 20), slice(6, 26), slice(2, 20))[: label.ndim]
    dims = tuple(axis for axis in flips if axis < label.ndim)
    assert torch.equal(changed, image[(slice(None), *middle)].flip([d + 1 for d in dims]))
    assert torch.equal(changed_label, label[middle].flip(dims))


@each_way
def test_a_quarter_turn_then_a_flip_by_hand(apply):
    image = torch.arange(27.0).reshape(1, 3, 3, 3)
    change = Change(degrees=(0, 0, 90), flips=(2,), curves=(Curve(),))
    turned, label = apply(image, image[0].long(), change, (3, 3, 3))
    expected = torch.rot90(image, 1, (1, 2)).flip(3)
    torch.testing.assert_close(turned, expected, atol=1e-4, rtol=0)
    assert torch.equal(label, expected[0].long())


@each_way
def test_in_2d_a_quarter_turn_then_a_flip_by_hand(apply):
    image = torch.arange(49.0).reshape(1, 7, 7)
    # What leaves the plane has no effect.
    change = Change(degrees=(20, -30, 90), flips=(1, 2), curves=(Curve(),))
    turned, label = apply(image, image[0].long(), change, (7, 7))
    expected = torch.rot90(image, 1, (1, 2)).flip(2)
    torch.testing.assert_close(turned, expected, atol=1e-4, rtol=0)
    assert torch.equal(label, expected[0].long())


@each_way
def test_in_2d_rotations_out_of_the_plane_and_a_zoom_of_1_change_nothing(apply):
    image = torch.randn((1, 7, 9), generator=torch.Generator().manual_seed(1))
    changed, label = apply(image, image[0].long(), Change(1.0, (20, -30, 0), (2,), (Curve(),)), (7, 9))
    assert torch.equal(changed, image)
    assert torch.equal(label, image[0].long())


@each_way
@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (2, 2)])
def test_in_2d_narrow_images_fade_into_the_zeros_around_them(apply, shape):
    image, change = torch.ones((1, *shape)), Change(2.0, curves=(Curve(),))
    changed, _ = apply(image, image[0].long(), change, (4, 4))
    places = np.stack(np.meshgrid(*((np.arange(4) - 1.5) / 2 + (n - 1) / 2 for n in shape), indexing="ij"))
    expected = map_coordinates(image[0].numpy(), places, order=1, mode="grid-constant")
    np.testing.assert_allclose(changed[0], expected, atol=1e-5)


@given(changes)
@settings(max_examples=40)
def test_a_voxel_map_takes_the_middle_to_the_middle_and_keeps_lengths(change):
    matrix, offset = voxel_map(SOURCE, PATCH, change.zoom, change.degrees, change.flips)
    inner, outer = ((torch.tensor(shape, dtype=torch.float64) - 1) / 2 for shape in (PATCH, SOURCE))
    torch.testing.assert_close(matrix @ inner + offset, outer)
    torch.testing.assert_close(matrix @ matrix.T * change.zoom**2, torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("dims", [3, 2])
def test_a_batch_is_its_samples(dims):
    images = torch.randn((3, 2, *SOURCE[:dims]), generator=torch.Generator().manual_seed(1))
    labels = (images[:, 0] > 0).long()
    drawn = [
        Change(1.1, (5, 6, 7), (1,), (Curve(1.2), Curve(shift=0.1))),
        Change(flips=(0, 2), curves=(Curve(factor=1.1), Curve())),
        Change(0.9, curves=(Curve(0.8, torch.tensor([0, 0.2, 1])), Curve())),
    ]
    changed, changed_labels = apply_changes(images, labels, drawn, PATCH[:dims], True)
    for i, change in enumerate(drawn):
        image, label = in_torch(images[i], labels[i], change)
        assert torch.equal(changed[i], image)
        assert torch.equal(changed_labels[i], label)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_the_processor_gives(sample):
    image, label = sample
    change = Change(1.1, (5, 6, 7), (1,), (Curve(1.2, torch.tensor([0, 0.2, 1]), 0.1, 1.1), Curve()))
    changed, changed_label = in_torch(image.cuda(), label.cuda(), change)
    expected, expected_label = in_torch(image, label, change)
    assert changed.is_cuda
    assert ((changed.cpu() - expected).abs() < 1e-3).float().mean() > 0.999
    assert (changed_label.cpu() == expected_label).float().mean() > 0.999
