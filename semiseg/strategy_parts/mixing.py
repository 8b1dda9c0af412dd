"""Mixing of two images: CutMix boxes, copy-paste boxes and mixup weights, drawn for each sample."""

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from scipy.special import betaincinv
from torch import Tensor

from semiseg.interfaces.batch import Step
from semiseg.strategy_parts.boxes import random_box
from semiseg.types import Shape


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the first bound is above the second")
    return bounds


Bounds = Annotated[
    tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]], AfterValidator(_in_order)
]
"""Two bounds of a fraction, in order, in a strategy's options."""


def cutmix_masks(
    shape: Shape,
    slots: Sequence[int],
    step: Step,
    name: str,
    share: tuple[float, float] = (0.25, 0.5),
    boxes: int = 3,
) -> Tensor:
    """Draw CutMix masks for each sample: True in boxes of random position and shape.

    French et al. 2020 (arXiv:1906.01916), with the settings of CPS with CutMix (arXiv:2106.01226) in its public code:
    each of n boxes covers 1/n of a fraction of the image that is drawn uniformly between two bounds. Where boxes
    overlap, the mask is inverted again, as in that code. In 2D, as there, the logarithm of that fraction is split
    uniformly between the two sides; in 3D, among the three.

    Args:
        shape: the sides in voxels, two or three of them.
        slots: the samples' numbers in the step: a mask depends only on (seed, step, slot, name).
        step: the position in training.
        name: name of the draw.
        share: bounds of the fraction, in [0, 1], before overlaps and rounding to voxels.
        boxes: n.

    Returns:
        (n, \\*spatial) boolean, on the CPU.
    """

    def draw(generator: torch.Generator) -> Tensor:
        low, high = share
        mask = torch.zeros(shape, dtype=torch.bool)
        for _ in range(boxes):
            volume = low + (high - low) * torch.rand((), generator=generator)
            cuts = torch.rand(len(shape) - 1, generator=generator).sort().values
            split = torch.cat([cuts[:1], cuts[1:] - cuts[:-1], 1 - cuts[-1:]])
            sides = volume**split * boxes ** (-1 / len(shape))
            box = random_box(shape, sides.tolist(), generator)
            mask[box] = ~mask[box]
        return mask

    return _stacked(draw, shape, slots, step, name)


def one_box_masks(
    shape: Shape, slots: Sequence[int], step: Step, name: str, side: tuple[float, float], probability: float
) -> Tensor:
    """Draw with a probability a box for each sample: True inside; each side is uniform between two fractions.

    The fractions are of the image's side. Returns (n, \\*spatial) boolean, on the CPU; other arguments as for
    ``cutmix_masks``.
    """

    def draw(generator: torch.Generator) -> Tensor:
        mask = torch.zeros(shape, dtype=torch.bool)
        happens, *drawn = torch.rand(1 + len(shape), generator=generator).tolist()
        if happens < probability:
            mask[random_box(shape, [side[0] + (side[1] - side[0]) * one for one in drawn], generator)] = True
        return mask

    return _stacked(draw, shape, slots, step, name)


def copy_paste_masks(shape: Shape, slots: Sequence[int], step: Step, name: str, side: float = 2 / 3) -> Tensor:
    """Draw a box for each sample at a random position, with sides of a fixed fraction of the image's; True inside.

    Bidirectional copy-paste (BCP, arXiv:2305.00673) uses 2/3, in volumes and in slices. Returns (n, \\*spatial)
    boolean, on the CPU; arguments as for ``cutmix_masks``.
    """

    def draw(generator: torch.Generator) -> Tensor:
        mask = torch.zeros(shape, dtype=torch.bool)
        mask[random_box(shape, (side,) * len(shape), generator)] = True
        return mask

    return _stacked(draw, shape, slots, step, name)


def mixup_weights(slots: Sequence[int], step: Step, name: str, alpha: float) -> Tensor:
    """Draw the weight of the first partner for each sample, from Beta(alpha, alpha): (n,) float32, on the CPU.

    Zhang et al. 2018 (arXiv:1710.09412), by inverting the distribution function at one uniform number.
    """
    uniform = [float(torch.rand((), dtype=torch.float64, generator=step.generator(slot, name))) for slot in slots]
    return torch.tensor([float(betaincinv(alpha, alpha, u)) for u in uniform], dtype=torch.float32)


def swapped(values: Tensor) -> Tensor:
    """Return samples (n, \\*any) with each neighboring pair swapped; n is even."""
    pairs: Tensor = values.unflatten(0, (-1, 2))
    return pairs.flip(1).flatten(0, 1)


def paste(inside: Tensor, outside: Tensor, masks: Tensor) -> Tensor:
    """Return ``inside`` where the masks (n, \\*spatial) are True, else ``outside``.

    Both are (n, C, \\*spatial) or (n, \\*spatial), of one dtype, on one device; the masks may be on another.
    """
    masks = masks.to(inside.device)
    return torch.where(masks if inside.dim() == masks.dim() else masks[:, None], inside, outside)


def _stacked(
    draw: Callable[[torch.Generator], Tensor], shape: Shape, slots: Sequence[int], step: Step, name: str
) -> Tensor:
    masks = [draw(step.generator(slot, name)) for slot in slots]
    return torch.stack(masks) if masks else torch.zeros((0, *shape), dtype=torch.bool)
