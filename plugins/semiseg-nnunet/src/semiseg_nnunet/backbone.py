"""Shared base of both backbones: options and task give the network's arguments."""

import math
from abc import abstractmethod
from typing import Any, ClassVar, TypeVar

from torch import nn

from semiseg.plugin import Backbone, Task, Topology, planned_topology, replace_upsampling

T = TypeVar("T")
MIN_STAGES = 3


def held(values: tuple[T, ...], count: int) -> tuple[T, ...]:
    """Return the first ``count`` values, repeating the last one if there are fewer."""
    return (*values, *values[-1:] * (count - len(values)))[:count]


class NNUNetBackbone(Backbone):
    """A U-Net as built by nnU-Net, in 2D or 3D: instance normalization, leaky ReLU, biases, He initialization."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"split", "scales", "upsampling"})

    @abstractmethod
    def network(self, **arguments: Any) -> nn.Module:
        """Return a network with its parts, from the arguments that both networks share."""

    def topology(self, task: Task) -> Topology:
        """Return strides and kernels: those of the options, or nnU-Net's plan for the task's patch size.

        Each option must have one number per side of the patch.
        """
        o = self.options
        if o.strides is None:
            # Voxels of equal sides are the same plan for any number of axes, so the default fits 2D as well.
            plan = planned_topology(task.patch_size, o.spacing if len(set(o.spacing)) > 1 else task.spacing, o.n_stages)
        else:
            plan = Topology(o.strides, ((3,) * task.spatial_dims,) * len(o.strides))
        return plan if o.kernel_sizes is None else Topology(plan.strides, held(o.kernel_sizes, len(plan.strides)))

    def build(self, task: Task) -> nn.Module:
        """Build a network for the task's patch size.

        Raises ValueError if the patch size does not fit.
        """
        if problems := self.patch_problems(task):
            raise ValueError("; ".join(problems))
        topology = self.topology(task)
        stages = len(topology.strides)
        is_2d = task.spatial_dims == 2
        network = self.network(
            input_channels=task.in_channels,
            num_classes=task.out_channels,
            n_stages=stages,
            features_per_stage=held(self.options.features_per_stage, stages),
            strides=topology.strides,
            kernel_sizes=topology.kernel_sizes,
            conv_op=nn.Conv2d if is_2d else nn.Conv3d,
            conv_bias=True,
            norm_op=nn.InstanceNorm2d if is_2d else nn.InstanceNorm3d,
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
        )
        replace_upsampling(network, self.options.upsampling)
        return network

    def planned(self, task: Task) -> str:
        """Return stages, strides and kernels if they follow from the patch."""
        is_planned = self.options.strides is None and not self._axis_problems(task)
        return str(self.topology(task)) if is_planned else ""

    def patch_problems(self, task: Task) -> list[str]:
        """Return problems of a patch with other axes than the options, not divided by the strides, or too small."""
        if problems := self._axis_problems(task):
            return problems
        topology = self.topology(task)
        size = " x ".join(map(str, task.patch_size))
        stages, wanted = len(topology.strides), self.options.n_stages or MIN_STAGES
        if stages < wanted:
            return [f"nnU-Net plans {stages} stages for a patch of {size}, fewer than {wanted}"]
        bottom = topology.factors[-1]
        problems = [f"{n} is not a multiple of {f}" for n, f in zip(task.patch_size, bottom, strict=True) if n % f]
        if not problems and math.prod(task.patch_size) == math.prod(bottom):
            problems.append(f"a patch of {size} leaves a single voxel at the lowest stage: double one side")
        return problems

    def _axis_problems(self, task: Task) -> list[str]:
        """Return the options whose numbers are not one per side of the patch."""
        o, n = self.options, task.spatial_dims
        given = {
            "spacing has {} numbers": len(o.spacing) if len(set(o.spacing)) > 1 else n,
            "strides has {} numbers per stage": n if o.strides is None else len(o.strides[0]),
            "kernel_sizes has {} numbers per stage": n if o.kernel_sizes is None else len(o.kernel_sizes[0]),
        }
        return [f"{what.format(count)}, but the patch has {n} sides" for what, count in given.items() if count != n]
