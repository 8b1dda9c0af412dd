"""Random boxes in an image."""

from collections.abc import Sequence

import torch

Box = tuple[slice, ...]


def random_box(shape: Sequence[int], sides: Sequence[float], generator: torch.Generator) -> Box:
    """Draw a box inside an image, uniformly over all positions; in 2D, it is a rectangle.

    Args:
        shape: the sides of the image in voxels.
        sides: the box's sides as fractions of the shape, in [0, 1]; they are rounded to voxels.
        generator: on the CPU.

    Returns:
        A slice for each axis.
    """
    return tuple(_interval(n, round(n * side), generator) for n, side in zip(shape, sides, strict=True))


def _interval(length: int, side: int, generator: torch.Generator) -> slice:
    start = int(torch.randint(length - side + 1, (), generator=generator))
    return slice(start, start + side)
