"""The only module that imports batchgeneratorsv2 (a second, with pandas): nnU-Net's transforms, with its settings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform  # type: ignore[import-untyped]
from batchgeneratorsv2.transforms.intensity.brightness import (  # type: ignore[import-untyped]
    MultiplicativeBrightnessTransform,
)
from batchgeneratorsv2.transforms.intensity.contrast import (  # type: ignore[import-untyped]
    BGContrast,
    ContrastTransform,
)
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform  # type: ignore[import-untyped]
from batchgeneratorsv2.transforms.intensity.gaussian_noise import (  # type: ignore[import-untyped]
    GaussianNoiseTransform,
)
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform  # type: ignore[import-untyped]
from batchgeneratorsv2.transforms.spatial.low_resolution import (  # type: ignore[import-untyped]
    SimulateLowResolutionTransform,
)
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform  # type: ignore[import-untyped]
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform  # type: ignore[import-untyped]
from batchgeneratorsv2.transforms.utils.random import RandomTransform  # type: ignore[import-untyped]
from torch import Tensor

from semiseg.plugin import Shape
from semiseg_nnunet.augmentation_options import PER_CHANNEL, AugmentationOptions
from semiseg_nnunet.augmentation_rules import coarse_axis, largest_angle

_OUTSIDE = -1
"""The label beyond the border while labels are interpolated, as in nnU-Net; it becomes background."""


@contextmanager
def numpy_seeded_by_torch() -> Iterator[None]:
    """Seed numpy's global generator from torch's, and restore it: batchgeneratorsv2 draws from both."""
    state = np.random.get_state()
    np.random.seed(int(torch.randint(2**32, ())))
    try:
        yield
    finally:
        np.random.set_state(state)


def move(
    image: Tensor, label: Tensor | None, patch_size: Shape, options: AugmentationOptions
) -> tuple[Tensor, Tensor | None]:
    """Rotate and zoom about the center, and cut to the patch: copies, (C, \\*patch_size) and (\\*patch_size) int64.

    Images are interpolated linearly. A label is the class with the largest linearly interpolated indicator. An
    anisotropic 3D patch is changed in its plane, all slices alike.
    """
    axis = coarse_axis(patch_size)
    plane = patch_size if axis is None else patch_size[:axis] + patch_size[axis + 1 :]
    degrees = largest_angle(patch_size) if options.rotation is None else options.rotation
    turns, zooms = options.probability("rotation"), options.probability("zoom_out")
    transform = _spatial(plane, degrees, turns, options.zoom_out, zooms)
    label = None if label is None else label.short()  # as in nnU-Net; faster, and holds every class index
    if axis is None:
        data = _apply(transform, image, None if label is None else label[None])
        moved, moved_label = data["image"], None if label is None else data["segmentation"][0]
    else:  # slices are channels of a 2D image
        slices = image.movedim(1 + axis, 1)
        data = _apply(transform, slices.flatten(0, 1), None if label is None else label.movedim(axis, 0))
        moved = data["image"].unflatten(0, slices.shape[:2]).movedim(1, 1 + axis)
        moved_label = None if label is None else data["segmentation"].movedim(0, axis)
    moved = moved.clone(memory_format=torch.contiguous_format)
    return moved, None if moved_label is None else moved_label.long().clamp_(min=0)


@lru_cache(maxsize=2)  # it keeps the grid of a patch
def _spatial(
    plane: Shape, degrees: float, p_rotation: float, zoom_out: tuple[float, float], p_zoom_out: float
) -> SpatialTransform:
    angle = float(np.deg2rad(degrees))
    return SpatialTransform(
        plane,
        patch_center_dist_from_border=0,
        random_crop=False,
        p_rotation=p_rotation,
        rotation=(-angle, angle),
        p_scaling=p_zoom_out,
        scaling=zoom_out,
        p_synchronize_scaling_across_axes=1,
        border_mode_seg="constant",
        padding_value_seg=_OUTSIDE,
    )


def change_intensities(image: Tensor, options: AugmentationOptions) -> Tensor:
    """Apply noise, blur, brightness, contrast, low resolution and both gammas to (C, \\*patch_size), in place."""
    shape = tuple(image.shape[1:])
    background = image == 0 if options.keep_background else None
    for transform in _intensities(shape, options):
        image = transform(image=image)["image"]
    return image if background is None else image.masked_fill_(background, 0)


def _intensities(shape: Shape, options: AugmentationOptions) -> list[BasicTransform]:
    o = options
    per_channel = {"synchronize_channels": False, "p_per_channel": 1}
    gammas = {**per_channel, "gamma": BGContrast(o.gamma), "p_retain_stats": 1}
    steps = {
        "noise": GaussianNoiseTransform(o.noise, p_per_channel=1, synchronize_channels=True),
        # nnU-Net times a convolution and an FFT (benchmark=True); samples would depend on which of them was faster.
        "blur": GaussianBlurTransform(_Sigmas(o.blur), False, False, p_per_channel=PER_CHANNEL, benchmark=False),
        "brightness": MultiplicativeBrightnessTransform(BGContrast(o.brightness), **per_channel),
        "contrast": ContrastTransform(BGContrast(o.contrast), preserve_range=True, **per_channel),
        "low_resolution": SimulateLowResolutionTransform(
            o.low_resolution,
            synchronize_channels=False,
            synchronize_axes=True,
            ignore_axes=_full_resolution(shape, o.low_resolution[0]),
            p_per_channel=PER_CHANNEL,
        ),
        "inverted_gamma": GammaTransform(p_invert_image=1, **gammas),
        "gamma": GammaTransform(p_invert_image=0, **gammas),
    }
    return [RandomTransform(step, o.probability(name)) for name, step in steps.items()]  # type: ignore[arg-type]


class _Sigmas:
    """The blur's random widths, limited along short sides, which cannot be mirrored by more than their length."""

    def __init__(self, limits: tuple[float, float]) -> None:
        self.limits = limits

    def __call__(self, shape: Sequence[int], dim: int) -> float:
        # The kernel reaches at most 3 sigma + 0.25 voxels, and must reach less than a side; tiny: no blur.
        return min(float(np.random.uniform(*self.limits)), max((shape[dim] - 1.25) / 3, 1e-3))


def _full_resolution(shape: Shape, smallest: float) -> tuple[int, ...] | None:
    """Return the axes that keep their resolution: the coarse one, and those that would lose their last voxel."""
    coarse = coarse_axis(shape)
    return tuple(axis for axis, n in enumerate(shape) if axis == coarse or n * smallest <= 0.5) or None


def flip(image: Tensor, label: Tensor | None, axes: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """Flip image and label along each of the axes with probability 0.5."""
    data = _apply(MirrorTransform(axes), image, None if label is None else label[None])
    return data["image"], None if label is None else data["segmentation"][0]


def _apply(transform: BasicTransform, image: Tensor, label: Tensor | None) -> dict[str, Tensor]:
    data: dict[str, Tensor] = transform(image=image, **({} if label is None else {"segmentation": label}))
    return data
