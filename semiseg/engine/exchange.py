"""What processes of the split mode tell one another: lessons at every step, weights before they are read."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from semiseg.engine.runtime import Runtime


def alone(runtime: Runtime) -> Runtime:
    """The same device and precision, as the only process: for a process that sees the whole batch."""
    single = copy.copy(runtime)
    single.rank, single.world = 0, 1
    return single


def exchange(tree: Any, runtime: Runtime, keep: Callable[[Tensor], Tensor] = lambda tensor: tensor) -> list[Any]:
    """Every process's tree of tensors (lists, tuples, mappings, dataclasses), in the order of ranks.

    Tensors are sent one at a time, as raw bytes of their own type. ``keep`` is applied to each that is received, for
    instance to move it off the GPU.
    """
    from lightning_utilities.core.apply_func import apply_to_collection

    def send(tensor: Tensor) -> Tensor:
        _broadcast(tensor.detach().to(runtime.device).contiguous(), runtime.rank, runtime)
        return tensor

    trees: list[Any] = []
    for rank, outline in enumerate(runtime.gather(apply_to_collection(tree, Tensor, lambda t: t.detach().to("meta")))):

        def receive(shape: Tensor, source: int = rank) -> Tensor:
            tensor = torch.empty(shape.shape, dtype=shape.dtype, device=runtime.device)
            _broadcast(tensor, source, runtime)
            return keep(tensor)

        own = rank == runtime.rank
        trees.append(apply_to_collection(tree if own else outline, Tensor, send if own else receive))
    return trees


def _broadcast(tensor: Tensor, source: int, runtime: Runtime) -> None:
    if not tensor.numel():
        return
    with runtime.together():  # as bytes: not every backend knows every type
        torch.distributed.broadcast(tensor.reshape(-1).view(torch.uint8), source)
