"""What processes of one run exchange: targets, gradients, buffers."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

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


def sum_gradients(parameters: Sequence[nn.Parameter], runtime: Runtime) -> None:
    """Replace each parameter's gradient by its sum over all processes.

    A parameter without a gradient in every process keeps none, so that an optimizer leaves it alone as it would in
    one process; one with a gradient somewhere counts zero elsewhere.
    """
    if runtime.world == 1 or not parameters:
        return
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    present = torch.tensor([float(p.grad is not None) for p in parameters], device=grads[0].device)
    flat = runtime.sum(torch.cat([*(g.flatten() for g in grads), present]))
    counts = flat[-len(parameters) :].tolist()
    offset = 0
    for parameter, count in zip(parameters, counts, strict=True):
        part = flat[offset : offset + parameter.numel()]
        offset += parameter.numel()
        parameter.grad = part.view_as(parameter).clone() if count else None


def share_buffers(module: nn.Module, runtime: Runtime) -> None:
    """Make the buffers of all processes alike: running statistics their mean, all else the main process's.

    Each process has statistics of its own samples alone, and the main one may have none of those that a network sees
    (a teacher, unlabeled ones). One that did not run it counts with what it had: the statistics move the slower.
    """
    if runtime.world == 1:
        return
    statistics = {id(b) for m in module.modules() if isinstance(m, _NormBase) for b in (m.running_mean, m.running_var)}
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for buffer in module.buffers():
        by_type.setdefault(buffer.dtype, []).append(buffer)
    for buffers in by_type.values():
        # What is no statistic is a count, or what a strategy keeps: a mean of them may be nothing at all.
        counted = [b if id(b) in statistics or runtime.is_main else torch.zeros_like(b) for b in buffers]
        total = runtime.sum(torch.cat([b.flatten() for b in counted]))
        for buffer, part in zip(buffers, total.split([b.numel() for b in buffers]), strict=True):
            shared = part.view_as(buffer)
            buffer.copy_(shared / runtime.world if id(buffer) in statistics else shared)
