"""Patch and batch size from the images' median shape and what a training step may take.

After nnU-Net 2's ``default_experiment_planner.py`` (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z): the largest
patch with the images' proportions for which a batch of two samples fits, then the largest batch. What fits is decided
by the estimate for the recipe's own networks rather than by nnU-Net's reference networks.
"""

import math
from collections.abc import Callable, Sequence

from semiseg.interfaces.topology import planned_topology
from semiseg.types import Shape

Fits = Callable[[Shape, int], bool]
"""Returns whether a step on so many samples of such a patch fits."""
Unfit = Callable[[Shape], bool]
"""Returns whether the backbones object to a patch size."""

FULL = {2: 2048, 3: 256}
"""Side of a patch of cubic voxels before it is cut to the images and to the memory."""
SMALLEST = 8
"""Smallest side of a patch: what a recipe allows."""
LEAST = 16
"""Side of a cube, or of a square, of as many voxels as the smallest patch that is made to fit."""
_COVERED = 0.05
"""Share of all voxels of the training cases that a batch may have, so that batches differ."""
_MULTIPLES = (1, 2, 4, 8, 16, 32, 64)


def plan_patch(median: Sequence[float], spacing: Sequence[float], fits: Fits, unfit: Unfit, samples: int = 2) -> Shape:
    """Return the largest patch, in proportion to the images, of which ``samples`` samples fit.

    Args:
        median: the images' median shape along the patch's axes, in voxels of the networks' grid.
        spacing: their voxel size.
        fits: whether a batch fits.
        unfit: whether the backbones object to a patch.
        samples: the smallest batch.

    Returns a patch of about 16 voxels a side if none fits.
    """
    side = FULL[len(median)]
    volume = math.prod(1 / size for size in spacing)
    ideal = [side / size / volume ** (1 / len(median)) for size in spacing]
    sides = [math.ceil(min(round(n), whole)) for n, whole in zip(ideal, median, strict=True)]
    patch = _allowed(sides, spacing, unfit)
    while not fits(patch, samples) and math.prod(patch) > LEAST ** len(patch):
        smaller = _smaller(patch, median, spacing, unfit)
        if smaller is None:
            break
        patch = smaller
    return patch


def plan_batch(patch: Shape, fits: Fits, voxels: float, smallest: int = 2, step: int = 1, largest: int = 64) -> int:
    """Return the largest batch that fits and has no more than 5 % of ``voxels``, those of all training cases.

    It is ``smallest``, or larger by a multiple of ``step``.
    """
    most = min(largest, round(voxels * _COVERED / math.prod(patch)))
    batch = smallest
    while batch + step <= most and fits(patch, batch + step):
        batch += step
    return batch


def _smaller(patch: Shape, median: Sequence[float], spacing: Sequence[float], unfit: Unfit) -> Shape | None:
    """Return the patch with its relatively longest side shortened by one step; None if no side can be."""
    by_length = sorted(range(len(patch)), key=lambda axis: patch[axis] / median[axis], reverse=True)
    for axis in by_length:
        for less in range(1, patch[axis] - SMALLEST + 1):
            tried = _allowed([n - less * (i == axis) for i, n in enumerate(patch)], spacing, unfit)
            if math.prod(tried) < math.prod(patch) and all(n <= old for n, old in zip(tried, patch, strict=True)):
                return tried
    return None


def _allowed(sides: Sequence[int], spacing: Sequence[float], unfit: Unfit) -> Shape:
    """Return the smallest patch of at least these sides that the backbones accept.

    It is tried with the factors of nnU-Net's topology for these sides, then with equal multiples.
    """
    sides = [max(n, SMALLEST) for n in sides]
    factors = [planned_topology(tuple(sides), tuple(spacing)).factors[-1]]
    factors += [(multiple,) * len(sides) for multiple in _MULTIPLES]
    found = [tuple(-(-n // f) * f for n, f in zip(sides, factor, strict=True)) for factor in factors]
    return next((patch for patch in found if not unfit(patch)), found[-1])
