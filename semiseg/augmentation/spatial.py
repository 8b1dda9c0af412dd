"""Zoom and rotation of a patch (2D or 3D), and the margin to read around it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from semiseg.types import Shape


def rotation_matrix(degrees: Sequence[float]) -> Tensor:
    """Return Rz Rx Ry (3, 3) float64 of rotations around x, y and z: the order of SimpleITK and hence TorchIO."""
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(math.radians(d)), math.sin(math.radians(d))) for d in degrees)
    around_x = torch.tensor([[1, 0, 0], [0, cx, -sx], [0, sx, cx]], dtype=torch.float64)
    around_y = torch.tensor([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]], dtype=torch.float64)
    around_z = torch.tensor([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]], dtype=torch.float64)
    return around_z @ around_x @ around_y


def rotation_in_plane(degrees: float) -> Tensor:
    """Return the rotation (2, 2) float64 of x and y by the rotation around z."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)


def voxel_map(
    source: Shape, patch: Shape, zoom: float, degrees: Sequence[float], flips: Sequence[int] = ()
) -> tuple[Tensor, Tensor]:
    """Return the map from a patch's voxels to a larger source: ``matrix @ voxel + offset``, float64, in voxels.

    Both have the same center. A zoom of 1.5 enlarges 1.5 times. ``flips`` are axes of the patch that are reversed after
    zoom and rotation. In 2D only the last angle, around z, is used.
    """
    signs = torch.ones(len(source), dtype=torch.float64)
    signs[list(flips)] = -1
    rotation = rotation_matrix(degrees) if len(source) == 3 else rotation_in_plane(degrees[2])
    matrix = rotation.T / zoom * signs
    centers = [(torch.tensor(shape, dtype=torch.float64) - 1) / 2 for shape in (source, patch)]
    return matrix, centers[0] - matrix @ centers[1]


def sampling_grid(
    source: Shape,
    patch: Shape,
    zoom: float,
    degrees: Sequence[float],
    flips: Sequence[int] = (),
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return the map of ``voxel_map`` for every voxel, in the coordinates of torch's ``grid_sample``."""
    to_source, _ = voxel_map(source, patch, zoom, degrees, flips)
    # In grid_sample's coordinates an image spans -1 to 1, and its axes are in reverse order.
    scaled = to_source * torch.tensor(patch, dtype=torch.float64) / torch.tensor(source, dtype=torch.float64)[:, None]
    theta = torch.cat([scaled.flip(0, 1), torch.zeros(len(source), 1, dtype=torch.float64)], dim=1)
    return affine_grid(theta[None].float().to(device, non_blocking=True), [1, 1, *patch], align_corners=False)


def resample(array: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Sample (C, \\*spatial) float32 at the positions of a grid, "bilinear" or "nearest"; 0 beyond the border."""
    return grid_sample(array[None], grid, mode=mode, padding_mode="zeros", align_corners=False)[0]


def center_crop(array: Tensor, size: Shape) -> Tensor:
    """Return the center of the last axes, as many as ``size`` has."""
    for axis, n in enumerate(size, -len(size)):
        array = array.narrow(axis, (array.shape[axis] - n) // 2, n)
    return array


def crop_and_flip(array: Tensor, size: Shape, flips: Sequence[int]) -> Tensor:
    """Return the center of the last axes, as many as ``size`` has, reversed along those of them in ``flips``."""
    return center_crop(array, size).flip([axis - len(size) for axis in flips])


def size_to_read(patch: Shape, min_zoom: float, max_degrees: float, margin: float) -> Shape:
    """Return the size to read around a patch so that no zoom or rotation introduces a border; at most ``margin`` more.

    In a product of three rotations by up to t < 90 degrees, no off-diagonal entry exceeds sin t + sin² t; in the one
    rotation of 2D it is sin t. The excess is even along each axis, so that source and patch have the same center.
    """
    sine = math.sin(math.radians(min(max_degrees, 90)))
    off_diagonal = sine if len(patch) == 2 else min(sine + sine**2, 1)
    return tuple(
        n + 2 * math.ceil(max(0, min((n + off_diagonal * (sum(patch) - n)) / min_zoom - n, n * margin)) / 2)
        for n in patch
    )
