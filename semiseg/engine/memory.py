"""What a step will take in memory, worked out from shapes alone: nothing is computed and nothing allocated."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.strategy import Role
from semiseg.types import Task

WEIGHT_GRADIENT_AND_ADAM = 16
"""Bytes for a parameter in float32: weight, gradient, and Adam's two moments."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of a joint step in float32: what networks save for backward, and their weights and optimizer states."""

    activations: int
    parameters: int

    @property
    def total(self) -> int:
        """Both; workspaces of kernels and the allocator's own come on top."""
        return self.activations + self.parameters


def estimate_memory(roles: Sequence[Role], backbones: Mapping[str, Backbone], task: Task, batch: int) -> MemoryEstimate:
    """The memory of a step with all trained networks' graphs alive at once, for a batch of ``batch`` samples."""
    activations = parameters = 0
    for role in roles:
        with torch.device("meta"):
            network = backbones[role.name].build(task)
        count = sum(p.numel() for p in network.parameters())
        parameters += count * (WEIGHT_GRADIENT_AND_ADAM if role.trained else 4)
        if role.trained:
            activations += saved_bytes(network, task) * batch
    return MemoryEstimate(activations, parameters)


def saved_bytes(network: nn.Module, task: Task) -> int:
    """Bytes that a forward of one sample saves for backward, each storage once, parameters not counted."""
    own = {p.untyped_storage()._cdata for p in network.parameters()}
    seen: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            seen[storage._cdata] = tensor  # held, so that no two live storages share an address
        return tensor

    images = torch.empty((1, task.in_channels, *task.patch_size), device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network.train()
        network(images)
    return sum(tensor.untyped_storage().nbytes() for tensor in seen.values())


def peak_memory(device: torch.device) -> int:
    """The most that this process has used, in bytes: of the GPU's memory, or of the machine's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
