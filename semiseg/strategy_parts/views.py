"""Weak and strong views of unlabeled samples.

A strong view is made on the device: an augmented image with further intensity changes, without spatial transforms.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from semiseg.interfaces.batch import Step
from semiseg.interfaces.strategy import StrategyOptions
from semiseg.strategy_parts.boxes import random_box

WeakView = Literal["geometry", "recipe"]


class WeakViewOptions(StrategyOptions):
    """Base of the options of strategies whose networks label unlabeled samples (``Strategy.weak_unlabeled``)."""

    weak_view: WeakView = "recipe"
    """Unlabeled samples as the recipe's augmentation makes them (recipe), or with its zooms, rotations and flips but
    without its changes of intensities (geometry), so that labels are made on images as they are."""


_FOLD = math.log(2)
_SHIFT = 0.5
_NOISE = 0.2


def strong_view(
    images: Tensor, slots: Sequence[int], step: Step, name: str, strength: float = 1.0, cut_out: float = 0.0
) -> Tensor:
    """Return images with random gamma, contrast, brightness, noise and a cut-out box; labels stay valid.

    For each channel, over its voxels that are not exactly 0 (background, which stays 0): a gamma between 1/2 and 2 on
    the values rescaled to [0, 1], a contrast factor between 1/2 and 2 about the mean (both log-uniform), a shift of at
    most half a standard deviation, and normal noise of at most a fifth of one. It takes the role of RandAugment in
    FixMatch (arXiv:2001.07685), whose 2D operations on photographs have no direct counterpart; the box is Cutout
    (arXiv:1708.04552), set to 0 in all channels.

    Args:
        images: (n, C, \\*spatial) float on any device; not modified.
        slots: the samples' numbers in the step: a sample's change depends only on (seed, step, slot, name).
        step: the position in training.
        name: name of the view; different names give different draws.
        strength: 1 as above, 0 for unchanged intensities; the ranges scale with it, also above 1.
        cut_out: the longest side of the box as a fraction of the image's; each side is uniform between 0 and that.

    Returns:
        (n, C, \\*spatial), of the images' dtype and device.
    """
    view = images
    if strength > 0 and len(images):
        view = _changed(images, slots, step, name, strength)
    if cut_out > 0 and len(images):
        kept = [_outside_box(images, step.generator(slot, f"{name}/box"), cut_out) for slot in slots]
        view = view * torch.stack(kept)[:, None].to(images.device)
    return view


def _changed(images: Tensor, slots: Sequence[int], step: Step, name: str, strength: float) -> Tensor:
    drawn = torch.stack([torch.rand((4, images.shape[1]), generator=step.generator(slot, name)) for slot in slots])
    drawn = drawn.to(images).reshape(*drawn.shape, *[1] * (images.dim() - 2))
    gamma, contrast = (strength * _FOLD * (2 * drawn[:, :2] - 1)).exp().unbind(1)
    inside = images != 0
    low, high, mean, deviation = _statistics(images, inside)
    unit = ((images - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    view = unit.pow(gamma) * (high - low) + low
    view = (view - mean) * contrast + mean + strength * _SHIFT * (2 * drawn[:, 2] - 1) * deviation
    for sample, slot, amount in zip(view, slots, strength * _NOISE * drawn[:, 3] * deviation, strict=True):
        generator = step.generator(slot, f"{name}/noise", images.device)
        noise = torch.randn(sample.shape, generator=generator, device=images.device, dtype=images.dtype)
        sample.addcmul_(noise, amount)
    return torch.where(inside, view, 0)


def _statistics(images: Tensor, inside: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return minimum, maximum, mean and standard deviation in a mask, each (n, C, 1, 1, 1); 0 for an empty mask."""
    space = tuple(range(2, images.dim()))
    count = inside.sum(space, keepdim=True)
    low = torch.where(inside, images, torch.inf).amin(space, keepdim=True).where(count > 0, 0)
    high = torch.where(inside, images, -torch.inf).amax(space, keepdim=True).where(count > 0, 0)
    mean = images.sum(space, keepdim=True) / count.clamp_min(1)
    square = torch.where(inside, images - mean, 0).square().sum(space, keepdim=True)
    return low, high, mean, (square / count.clamp_min(1)).sqrt()


def _outside_box(images: Tensor, generator: torch.Generator, longest: float) -> Tensor:
    sides = (longest * torch.rand(images.dim() - 2, generator=generator)).tolist()
    kept = torch.ones(images.shape[2:], dtype=torch.bool)
    kept[random_box(images.shape[2:], sides, generator)] = False
    return kept
