"""Zoom and rotation against TorchIO's own Affine, and how much is read around a patch."""

import itertools

import pytest
import torch
import torchio as tio

from semiseg.augmentation.luque2023 import Luque2023Augmentation
from semiseg.augmentation.spatial import center_crop, resample, rotation_matrix, sampling_grid, size_to_read

SOURCE, PATCH = (44, 40, 42), (24, 18, 20)


@pytest.mark.parametrize(
    ("zoom", "degrees"),
    [(1.07, (0, 0, 0)), (1.0, (20, 0, 0)), (1.0, (0, -20, 0)), (0.93, (0, 0, 20)), (1.05, (7, -12, 17))],
)
def test_it_is_torchio_s_affine(zoom, degrees):
    generator = torch.Generator().manual_seed(0)
    image = torch.nn.functional.avg_pool3d(torch.randn((1, *SOURCE), generator=generator), 3, 1, 1)
    label = (image > 0).to(torch.uint8) * 3
    affine = tio.Affine((zoom,) * 3, degrees, (0, 0, 0), default_pad_value=0)
    expected = affine(tio.Subject(image=tio.ScalarImage(tensor=image), label=tio.LabelMap(tensor=label)))
    grid = sampling_grid(SOURCE, PATCH, zoom, degrees)
    # TorchIO fills beyond the centers of the outermost voxels, grid_sample fades: both agree within.
    torch.testing.assert_close(
        resample(image, grid, "bilinear"), center_crop(expected["image"].data, PATCH), atol=2e-4, rtol=0
    )
    agree = resample(label.float(), grid, "nearest") == center_crop(expected["label"].data, PATCH)
    assert agree.float().mean() > 0.999


@pytest.mark.parametrize(("zoom", "degrees"), [(1.07, 0), (1.0, -20), (0.95, 17)])
def test_in_2d_it_is_torchio_s_affine_of_one_slice(zoom, degrees):
    generator = torch.Generator().manual_seed(0)
    image = torch.nn.functional.avg_pool2d(torch.randn((1, 44, 40), generator=generator), 3, 1, 1)
    label = (image > 0).to(torch.uint8) * 3
    affine = tio.Affine((zoom, zoom, 1), (0, 0, degrees), (0, 0, 0), default_pad_value=0)
    images = {"image": tio.ScalarImage(tensor=image[..., None]), "label": tio.LabelMap(tensor=label[..., None])}
    expected = affine(tio.Subject(images))
    grid = sampling_grid((44, 40), (24, 18), zoom, (0, 0, degrees))
    middle = center_crop(expected["image"].data[..., 0], (24, 18))
    torch.testing.assert_close(resample(image, grid, "bilinear"), middle, atol=2e-4, rtol=0)
    agree = resample(label.float(), grid, "nearest") == center_crop(expected["label"].data[..., 0], (24, 18))
    assert agree.float().mean() > 0.99


def test_a_quarter_turn_by_hand():
    image = torch.arange(27.0).reshape(1, 3, 3, 3)
    turned = resample(image, sampling_grid((3, 3, 3), (3, 3, 3), 1.0, (0, 0, 90)), "nearest")
    # What was at +x is at +y now.
    assert torch.equal(turned[0, 1, 2], image[0, 2, 1])
    assert torch.equal(turned, torch.rot90(image, 1, (1, 2)))


@pytest.mark.parametrize("patch", [(24, 32, 20), (24, 64)], ids=["3D", "2D"])
def test_what_is_read_is_enough(patch):
    """No voxel of the patch comes from beyond the source, at any corner of the ranges."""
    zoom, angle = 0.9, 10
    source = size_to_read(patch, zoom, angle, margin=1.0)
    for degrees in itertools.product((-angle, 0, angle), repeat=3):
        grid = sampling_grid(source, patch, zoom, degrees)
        assert grid.abs().max() <= 1


def test_the_margin_is_a_limit():
    assert size_to_read((128, 128, 128), 0.9, 15, margin=0.25) == (160, 160, 160)
    assert size_to_read((48, 64, 48), 1.0, 0, margin=0.25) == (48, 64, 48)
    assert size_to_read((128, 64), 0.9, 15, margin=0.25) == (160, 80)
    assert Luque2023Augmentation(Luque2023Augmentation.Options(probability=0)).source_size((16, 16, 16)) == (16, 16, 16)


def test_in_2d_a_larger_angle_reads_more_only_as_far_as_the_plane_needs():
    assert size_to_read((100, 40), 1.0, 30, margin=1.0) == (120, 80)  # 100 + 40 sin 30°; 40 + 100 sin 30°, at most 80


def test_rotations_are_rotations():
    matrix = rotation_matrix((10, 20, 30))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64))
    assert float(torch.linalg.det(matrix)) == pytest.approx(1)
