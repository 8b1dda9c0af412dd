"""Gradients of one role, summed over processes by one flat all-reduce in fixed order."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

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
    """Give every process the main process's buffers (running statistics), so that all stay alike."""
    if runtime.world == 1:
        return
    for buffer in module.buffers():
        kept: Tensor = buffer if runtime.is_main else torch.zeros_like(buffer)
        buffer.copy_(runtime.sum(kept))
