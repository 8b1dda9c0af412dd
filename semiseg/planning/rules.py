"""Voxel size, normalization and foreground from the measures of the training cases.

The rules are nnU-Net's (``default_experiment_planner.py`` and ``fingerprint_extractor.py`` of nnU-Net 2; Isensee et al.
2021, doi:10.1038/s41592-020-01008-z), on the axes R, A and S.
"""

import re
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from semiseg.planning.measures import CaseMeasures
from semiseg.preprocessing.resampling import ANISOTROPIC, resampled_shape
from semiseg.recipe.schema import Intensities
from semiseg.types import Shape

_FINE = 10
"""Percentile of the spacings along a coarse axis that becomes the target there."""
MANY_ZEROS = 0.05
"""Share of voxels equal to 0 from which 0 counts as background, as in skull-stripped images."""
_DIGITS = 6
LOW, HIGH = 0.5, 99.5
"""Percentiles to which ct clips."""
Axes = Callable[[CaseMeasures], Sequence[int]]
"""Returns the axes of a case (of R, A and S) along which the patch lies: all three, or those of its slices."""


class Extent(Protocol):
    """A case's voxel size in mm, None if its file stores none, and its shape without margins, along R, A and S."""

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Return the voxel size."""

    @property
    def box(self) -> Shape:
        """Return the shape."""


def target_spacing(cases: Sequence[Extent]) -> tuple[float, float, float] | None:
    """Return the voxel size in mm to which images are resampled; None if no case has one.

    The median along each axis. If the axis with the largest is more than three times as coarse as each other one, and
    has less than a third of their voxels, its target is the 10th percentile instead, but not finer than the others: the
    few slices of a coarse axis suffer most from interpolation.
    """
    known = [case for case in cases if case.spacing is not None]
    if not known:
        return None
    sizes = np.array([case.spacing for case in known])
    target = np.median(sizes, axis=0)
    shape = np.median([case.box for case in known], axis=0)
    coarse = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != coarse]
    largest = float(target[others].max())
    if target[coarse] > ANISOTROPIC * largest and shape[coarse] * ANISOTROPIC < shape[others].min():
        target[coarse] = max(float(np.percentile(sizes[:, coarse], _FINE)), largest)
    x, y, z = (round(float(size), _DIGITS) for size in target)
    return x, y, z


def median_shape(
    cases: Sequence[CaseMeasures], target: Sequence[float] | None, margin: int | None, axes: Axes
) -> tuple[float, ...]:
    """Return the median shape of the images as networks see them, along the axes of the patch.

    As in nnU-Net it is not rounded: of an even number of cases it may lie between two numbers of voxels.

    Args:
        cases: the cases.
        target: the voxel size along these axes to which images are resampled; None if they are not.
        margin: images are cropped to their nonzero voxels and a margin of so many voxels; None if they are not.
        axes: the axes of the patch.
    """
    shapes = []
    for case in cases:
        along = axes(case)
        shape = tuple(
            case.shape[axis] if margin is None else min(case.box[axis] + 2 * margin, case.shape[axis]) for axis in along
        )
        if target is not None and case.spacing is not None:
            shape = resampled_shape(shape, [case.spacing[axis] for axis in along], target)
        shapes.append(shape)
    return tuple(float(n) for n in np.median(shapes, axis=0))


def median_spacing(cases: Sequence[CaseMeasures], axes: Axes) -> tuple[float, ...] | None:
    """Return the median voxel size in mm along the axes of the patch; None if no case has one."""
    known = [[case.spacing[axis] for axis in axes(case)] for case in cases if case.spacing is not None]
    return tuple(round(float(size), _DIGITS) for size in np.median(known, axis=0)) if known else None


def is_ct(name: str, channel: int, cases: Sequence[CaseMeasures]) -> bool:
    """Return whether a modality is CT: by its name, or because most cases are, by their headers or values."""
    return is_named_ct(name) or float(np.mean([case.channels[channel].is_ct for case in cases])) > 0.5


def is_named_ct(name: str) -> bool:
    """Return whether a modality's name has the word CT."""
    return re.search(r"(?<![a-z0-9])ct(?![a-z0-9])", name.lower()) is not None


def zero_is_background(cases: Sequence[CaseMeasures]) -> bool:
    """Return whether 0 is background: in the median case it is the value of at least 5 % of the voxels."""
    return float(np.median([case.zeros for case in cases])) >= MANY_ZEROS


def intensities_of(channel: int, labeled: Sequence[CaseMeasures]) -> Intensities | None:
    """Return a modality's intensities within the foreground classes; None if no case has foreground, or one value.

    Each case counts alike. As in nnU-Net, mean and deviation include the values that are clipped.
    """
    known = [case.channels[channel] for case in labeled if case.channels[channel].count]
    if not known:
        return None
    low, high = (float(n) for n in np.percentile(np.concatenate([case.quantiles for case in known]), [LOW, HIGH]))
    mean = float(np.mean([case.mean for case in known]))
    variance = float(np.mean([case.deviation**2 + (case.mean - mean) ** 2 for case in known]))
    if not low < high:
        return None
    rounded = (float(f"{value:.{_DIGITS}g}") for value in (low, high, mean, variance**0.5))
    return Intensities(**dict(zip(("low", "high", "mean", "deviation"), rounded, strict=True)))
