"""nnU-Net's topology for a patch size: the number of stages, and the axes that each one halves."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from semiseg.types import Shape

MIN_EDGE = 4
"""Minimum side of a feature map after halving."""

Spacing = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """Stride and kernel size of each stage, top first."""

    strides: tuple[Shape, ...]
    kernel_sizes: tuple[Shape, ...]

    def __str__(self) -> str:
        """Return the topology in words."""
        steps = ", ".join("x".join(map(str, stride)) for stride in self.strides[1:])
        kernels = ", ".join("x".join(map(str, kernel)) for kernel in self.kernel_sizes)
        return f"{len(self.strides)} stages, downsampled by {steps or 'nothing'}; kernels {kernels}"

    @property
    def factors(self) -> tuple[Shape, ...]:
        """Image voxels per voxel of each stage, along each axis."""
        return cumulative_strides(self.strides)


def cumulative_strides(strides: Iterable[Shape]) -> tuple[Shape, ...]:
    """Return the cumulative products of the strides down to each stage."""
    return tuple(accumulate(strides, lambda above, stride: tuple(a * b for a, b in zip(above, stride, strict=True))))


def per_axis(stride: int | Shape, axes: int) -> Shape:
    """Return a stride with one number for each axis."""
    return (stride,) * axes if isinstance(stride, int) else tuple(stride)


def planned_topology(patch_size: Shape, spacing: Spacing | None = None, n_stages: int | None = None) -> Topology:
    """Return nnU-Net's topology for a patch size of any number of axes, with at most ``n_stages`` stages.

    The rule of ``get_pool_and_conv_props`` in nnU-Net 2: a stage halves each axis that is long enough, except those
    whose voxels are at least twice as large as the smallest. Kernels have size 1 along such an axis until the others
    have caught up, and size 3 along all axes at the lowest stage. nnU-Net puts the coarsest axis first; here it may be
    any.
    """
    axes = range(len(patch_size))
    size, voxel, kernel = list(patch_size), list(spacing or (1.0,) * len(patch_size)), [1] * len(patch_size)
    strides: list[Shape] = [(1,) * len(patch_size)]
    kernels: list[Shape] = []
    while len(strides) != n_stages and (halved := _halved(size, voxel)):
        for axis in axes:
            if voxel[axis] < 2 * min(voxel):
                kernel[axis] = 3
        kernels.append(tuple(kernel))
        step = [2 if axis in halved else 1 for axis in axes]
        strides.append(tuple(step))
        size = [-(-n // s) for n, s in zip(size, step, strict=True)]
        voxel = [v * s for v, s in zip(voxel, step, strict=True)]
    return Topology(tuple(strides), (*kernels, (3,) * len(patch_size)))


def _halved(size: list[int], voxel: list[float]) -> list[int]:
    """Return the axes to halve next; empty at the last stage."""
    roomy = [axis for axis in range(len(size)) if size[axis] >= 2 * MIN_EDGE]
    axes = [axis for axis in roomy if voxel[axis] < 2 * min(voxel[a] for a in roomy)]
    if len(axes) == 1 and size[axes[0]] < 3 * MIN_EDGE:
        return []  # nnU-Net adds no stage for a single axis that is already short
    return axes
