"""Bit-identical runs on a GPU: choice of kernels, and layers without deterministic kernels."""

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

# Layers of volumetric networks for which torch.use_deterministic_algorithms raises in torch 2.13.
_ADAPTIVE = nn.AdaptiveAvgPool3d, nn.AdaptiveAvgPool2d
_WITHOUT = (
    *_ADAPTIVE,
    *(nn.AvgPool3d, nn.FractionalMaxPool3d, nn.MaxUnpool3d, nn.ReflectionPad3d),
    *(nn.AdaptiveMaxPool2d, nn.ReflectionPad2d),
)
_switched = False


def take_kernels(deterministic: bool) -> None:
    """Allow only deterministic kernels on a GPU, or pick the fastest for each shape.

    Reverts only what an earlier run of this process switched on, not what the caller did.
    """
    global _switched  # noqa: PLW0603 (torch's own switch is global too)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        _switched = _switched or not torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(True)
    elif _switched:
        torch.use_deterministic_algorithms(False)
        _switched = False
    # Every step has the same shapes, so one search for the fastest kernels pays off.
    torch.backends.cudnn.benchmark = not torch.are_deterministic_algorithms_enabled()


def without_deterministic_gradient(networks: Iterable[nn.Module]) -> list[str]:
    """Return the layer classes without a deterministic gradient kernel on a GPU: training would fail at them."""
    return sorted({type(m).__name__ for network in networks for m in network.modules() if _lacks(m)})


def _lacks(module: nn.Module) -> bool:
    if isinstance(module, _ADAPTIVE) and set(_as_tuple(module.output_size)) == {1}:
        return False  # torch computes these as a mean
    return isinstance(module, _WITHOUT)


def _as_tuple(size: Any) -> tuple[Any, ...]:
    return tuple(size) if isinstance(size, Iterable) else (size,)
