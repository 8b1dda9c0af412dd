"""What a step will take in memory, worked out from shapes alone: nothing is computed and nothing allocated."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from semiseg.engine.modes import StepMode
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.strategy import Role
from semiseg.types import Task

WEIGHT, GRADIENT, ADAM = 4, 4, 8
"""Bytes for a parameter in float32: itself, its gradient, and Adam's two moments."""
IMAGE, LABEL = 4, 8
"""Bytes for a voxel of a modality, and of a label."""


@dataclass(frozen=True, slots=True)
class NetworkMemory:
    """A role's network: bytes that a forward of one sample saves for backward, and its number of parameters."""

    saved: int
    parameters: int
    trained: bool


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of a step in float32.

    Attributes:
        batch: images and labels.
        activations: what networks save for backward.
        parameters: weights, gradients and Adam's state.
    """

    batch: int
    activations: int
    parameters: int

    @property
    def total(self) -> int:
        """All of it; the loss, workspaces of kernels and the allocator's own come on top."""
        return self.batch + self.activations + self.parameters


def meta_networks(roles: Sequence[Role], backbones: Mapping[str, Backbone], task: Task) -> dict[str, nn.Module]:
    """Networks by role without memory (on the meta device); roles alike share one."""
    built: dict[Any, nn.Module] = {}
    networks: dict[str, nn.Module] = {}
    with torch.device("meta"):
        for role in roles:
            backbone = backbones[role.name]
            key = id(backbone), role.network
            if key not in built:
                built[key] = role.build(backbone, task)
            networks[role.name] = built[key]
    return networks


def measure_networks(roles: Sequence[Role], networks: Mapping[str, nn.Module], task: Task) -> list[NetworkMemory]:
    """What ``estimate_memory`` needs of ``meta_networks``."""
    saved = {id(net): saved_bytes(net, task) for net in {id(net): net for net in networks.values()}.values()}
    return [
        NetworkMemory(
            saved[id(networks[role.name])], sum(p.numel() for p in networks[role.name].parameters()), role.trained
        )
        for role in roles
    ]


def estimate_memory(networks: Sequence[NetworkMemory], task: Task, mode: StepMode, batch: int) -> MemoryEstimate:
    """The memory of a step on ``batch`` samples of this process, in a step mode.

    joint has all trained networks' graphs and gradients at once, the others one network's; ``split`` has one
    network's moments, and the others' weights in the CPU's memory, which are counted for the CPU's sake.
    """
    samples = batch if mode.micro_batch is None else min(mode.micro_batch, batch)
    trained = [network for network in networks if network.trained]
    together = sum if mode.name == "joint" else max
    moments = max if mode.name == "split" else sum
    weights = WEIGHT * sum(network.parameters for network in networks)
    gradients = GRADIENT * together(network.parameters for network in trained)
    states = ADAM * moments(network.parameters for network in trained)
    return MemoryEstimate(
        batch * math.prod(task.patch_size) * (IMAGE * task.in_channels + LABEL),
        samples * together(network.saved for network in trained),
        weights + gradients + states,
    )


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
        network.train()(images)
    return sum(tensor.untyped_storage().nbytes() for tensor in seen.values())


class StepMemory:
    """The most that a GPU's tensors have taken in a training step: what a trial measures and ``estimate_memory`` tells.

    ``peak`` is in bytes, and 0 where it is not known: torch does not count the CPU's. As in a trial, the first step is
    left out, since the search for kernels takes more than any step will; so is what predicts between steps.
    """

    def __init__(self, device: torch.device) -> None:
        self.peak = 0
        self._device, self._is_first = device, True

    @contextmanager
    def of_a_step(self) -> Iterator[None]:
        """A block that is a training step."""
        if self._device.type != "cuda":
            yield
            return
        torch.cuda.reset_peak_memory_stats(self._device)
        yield
        if not self._is_first:
            self.peak = max(self.peak, torch.cuda.max_memory_allocated(self._device))
        self._is_first = False


def peak_memory(device: torch.device) -> int:
    """The most that this process has used, in bytes: tensors in the GPU's memory, or all of it in the machine's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
