"""Where a precision cannot be trusted, found before training."""

import torch
from torch import Tensor, nn

from semiseg.errors import Problem
from semiseg.types import Task


def cpu_bf16_problems(network: nn.Module, task: Task) -> list[Problem]:
    """What is wrong with training a network (on the meta device) in bf16 on the CPU.

    torch 2.13's bf16 weight gradient of a 3x3x3 convolution over 2x2x2 voxels reads memory that nobody has written
    (shown by tests/unit/engine/test_precision.py): gradients are then wrong, by chance even not finite. Larger and
    mixed extents are right.
    """
    found: list[nn.Module] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Conv3d) and max(module.kernel_size) > 2 and set(inputs[0].shape[2:]) == {2}:
            found.append(module)

    hooks = [module.register_forward_pre_hook(look) for module in network.modules()]
    try:
        network(torch.empty((1, task.in_channels, *task.patch_size), device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    what = (
        "training.precision is bf16: on the CPU its gradients are wrong where a level of the network has 2x2x2 voxels."
    )
    return [Problem("", what, "Use a larger training.patch_size, or training.precision=32.")] if found else []
