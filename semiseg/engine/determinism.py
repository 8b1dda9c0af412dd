"""Runs on a GPU that come to the same to the last bit: the kernels that they take, and layers that have no such."""

import os
from collections.abc import Iterable

import torch
from torch import nn

# Those of torch 2.13's torch.use_deterministic_algorithms that raise and are layers of networks for volumes.
_WITHOUT = (
    *(nn.AvgPool3d, nn.AdaptiveAvgPool3d, nn.FractionalMaxPool3d, nn.MaxUnpool3d, nn.ReflectionPad3d),
    *(nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ReflectionPad2d),
)
_switched = False


def take_kernels(deterministic: bool) -> None:
    """On a GPU: deterministic kernels only, or for each shape the fastest of all.

    What an earlier run of this process switched on is switched off again; what its owner did is left.
    """
    global _switched  # noqa: PLW0603 (torch's own switch is the process's too)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        _switched = _switched or not torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(True)
    elif _switched:
        torch.use_deterministic_algorithms(False)
        _switched = False
    torch.backends.cudnn.benchmark = not deterministic  # every step has the same shapes: one search pays


def without_deterministic_gradient(networks: Iterable[nn.Module]) -> list[str]:
    """The layers, by class, whose gradient no deterministic kernel computes on a GPU: training would end at them."""
    return sorted({type(m).__name__ for network in networks for m in network.modules() if isinstance(m, _WITHOUT)})
