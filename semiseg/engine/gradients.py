"""What processes that share a batch add up, flat: gradients of one role, and running statistics and other buffers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from semiseg.engine.runtime import Runtime


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
