"""Where a precision cannot be trusted, found before training."""

import torch
from torch import Tensor, nn

from semiseg.errors import Problem
from semiseg.types import Task


def cpu_bf16_problems(network: nn.Module, task: Task) -> list[Problem]:
    """What is wrong with training a network (on the meta device) in bf16 on the CPU.

    torch 2.13's bf16 weight gradient of a convolution whose kernel is larger than the image along every axis reads
    memory that nobody has written: gradients are then wrong, by chance even not finite. One axis that is as long as
    the kernel makes them right (tests/unit/engine/test_precision.py).
    """
    found: list[nn.Module] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, nn.Conv3d) and max(module.kernel_size) > 1:
            sides = zip(inputs[0].shape[2:], module.kernel_size, strict=True)
            if all(extent < kernel for extent, kernel in sides):
                found.append(module)

    hooks = [module.register_forward_pre_hook(look) for module in network.modules()]
    try:
        network(torch.empty((1, task.in_channels, *task.patch_size), device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    what = "training.precision is bf16: on the CPU its gradients are wrong where a kernel is larger than its image."
    fix = "A level of the network is that small: use a larger training.patch_size, or set training.precision=32."
    return [Problem("", what, fix)] if found else []
