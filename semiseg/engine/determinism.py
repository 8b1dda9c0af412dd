"""Runs on a GPU that come to the same to the last bit: the kernels that they take, and layers that have no such."""

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

# Those of torch 2.13's torch.use_deterministic_algorithms that raise and are layers of networks for volumes.
_ADAPTIVE = nn.AdaptiveAvgPool3d, nn.AdaptiveAvgPool2d
_WITHOUT = (
    *_ADAPTIVE,
    *(nn.AvgPool3d, nn.FractionalMaxPool3d, nn.MaxUnpool3d, nn.ReflectionPad3d),
    *(nn.AdaptiveMaxPool2d, nn.ReflectionPad2d),
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
    # Every step has the same shapes: one search for the fastest kernels pays.
    torch.backends.cudnn.benchmark = not torch.are_deterministic_algorithms_enabled()


def without_deterministic_gradient(networks: Iterable[nn.Module]) -> list[str]:
    """The layers, by class, whose gradient no deterministic kernel computes on a GPU: training would end at them."""
    return sorted({type(m).__name__ for network in networks for m in network.modules() if _lacks(m)})


def _lacks(module: nn.Module) -> bool:
    if isinstance(module, _ADAPTIVE) and set(_as_tuple(module.output_size)) == {1}:
        return False  # torch takes the mean
    return isinstance(module, _WITHOUT)


def _as_tuple(size: Any) -> tuple[Any, ...]:
    return tuple(size) if isinstance(size, Iterable) else (size,)
