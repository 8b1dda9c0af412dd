"""Intensity transforms of a channel: contrast, histogram, shift and scaling, each a monotone curve."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The intensity transform of a channel, in this order; the defaults do nothing.

    Attributes:
        gamma: exponent on the channel rescaled to [0, 1].
        heights: values in [0, 1] to which equally spaced points of [0, 1] are mapped, with linear interpolation; the
            first is 0 and the last is 1, so that the range is preserved.
        shift: added, in standard deviations of the channel.
        factor: multiplied.
    """

    gamma: float = 1.0
    heights: Tensor | None = None
    shift: float = 0.0
    factor: float = 1.0

    @property
    def bends(self) -> bool:
        """True if it does more than shift and scale."""
        return self.gamma != 1 or self.heights is not None


def apply_curve(channel: Tensor, curve: Curve, keep_zero: bool) -> Tensor:
    """Return a channel (\\*spatial) float32 after a curve, without modifying the input.

    ``keep_zero``: voxels of exactly 0 are background, stay 0, and are excluded from the range and the deviation.
    """
    mask = channel != 0 if keep_zero else torch.ones_like(channel, dtype=torch.bool)
    low, high = value_range(channel, mask)
    shift = curve.shift * deviation(channel, mask) if curve.shift else None
    bends = curve.bends and bool(high > low)

    def change(block: Tensor) -> Tensor:
        changed = _bend(block, low, high, curve) if bends else block
        changed = changed if shift is None else changed + shift
        changed = changed if curve.factor == 1 else changed * curve.factor
        return torch.where(block != 0, changed, 0) if keep_zero else changed

    if channel.ndim == 2:
        return change(channel)
    # Block by block, intermediate results stay in the processor's cache, which halves the time.
    return torch.cat([change(block) for block in channel.split(_PLANES)])


_PLANES = 8


def _bend(block: Tensor, low: Tensor, high: Tensor, curve: Curve) -> Tensor:
    unit: Tensor = ((block - low) / (high - low)).clamp_(0, 1)
    if curve.gamma != 1:
        unit = unit.pow_(curve.gamma)
    if curve.heights is not None:
        unit = piecewise_linear(unit, curve.heights)
    unit.mul_(high - low).add_(low)
    return unit


def piecewise_linear(unit: Tensor, heights: Tensor) -> Tensor:
    """Map values in [0, 1] so that the i-th of n equally spaced points goes to ``heights[i]``.

    It is computed as a sum of ramps, one starting at each point: faster than looking up each voxel's interval.
    """
    place = unit * (len(heights) - 1)
    slopes: list[float] = heights.diff().tolist()
    result = place * slopes[0]
    for i, (before, after) in enumerate(pairwise(slopes), 1):
        result.add_((place - i).clamp_(min=0), alpha=after - before)
    return result


def value_range(channel: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return minimum and maximum in a mask; infinity and minus infinity if it is empty."""
    return torch.where(mask, channel, torch.inf).min(), torch.where(mask, channel, -torch.inf).max()


def deviation(channel: Tensor, mask: Tensor) -> Tensor:
    """Return the population standard deviation in a mask; NaN if it is empty."""
    count = mask.sum()
    mean = torch.where(mask, channel, 0).sum() / count
    return (torch.where(mask, channel - mean, 0).square().sum() / count).sqrt()
