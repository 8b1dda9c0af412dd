"""Exchange between the processes of a run: targets, gradients and buffers."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from semiseg.engine.runtime import Runtime


def alone(runtime: Runtime) -> Runtime:
    """Return a runtime with the same device and precision and a single process, for a process with the whole batch."""
    single = copy.copy(runtime)
    single.rank, single.world = 0, 1
    return single


def exchange(tree: Any, runtime: Runtime, keep: Callable[[Tensor], Tensor] = lambda tensor: tensor) -> list[Any]:
    """Return every process's tree of tensors (lists, tuples, mappings, dataclasses), in rank order.

    Tensors are sent one at a time as raw bytes. ``keep`` is applied to each received tensor, for instance to move it
    off the GPU.
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
    with runtime.together():  # as bytes: not every backend supports every dtype
        torch.distributed.broadcast(tensor.reshape(-1).view(torch.uint8), source)


def sum_gradients(parameters: Sequence[nn.Parameter], runtime: Runtime) -> None:
    """Replace each parameter's gradient with its sum over all processes.

    A parameter without a gradient in every process still has none, so the optimizer skips it as it would in a single
    process. If only some processes have a gradient, the others count as zero.
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
    """Synchronize the buffers of all processes: average running statistics, copy all others from the main process.

    Each process has the statistics of its own samples only, and the main process may have none of the samples that a
    network sees (a teacher: unlabeled ones). A process that did not run a network contributes its previous
    statistics, so they change more slowly.
    """
    if runtime.world == 1:
        return
    statistics = {id(b) for m in module.modules() if isinstance(m, _NormBase) for b in (m.running_mean, m.running_var)}
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for buffer in module.buffers():
        by_type.setdefault(buffer.dtype, []).append(buffer)
    for buffers in by_type.values():
        # Other buffers are counts or a strategy's own state, for which a mean may be meaningless.
        counted = [b if id(b) in statistics or runtime.is_main else torch.zeros_like(b) for b in buffers]
        total = runtime.sum(torch.cat([b.flatten() for b in counted]))
        for buffer, part in zip(buffers, total.split([b.numel() for b in buffers]), strict=True):
            shared = part.view_as(buffer)
            buffer.copy_(shared / runtime.world if id(buffer) in statistics else shared)
