"""Memory: what a step takes, how much there is, and what to say when it ran out."""

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from semiseg.engine.step_modes import StepMode
from semiseg.errors import TrainingError
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.strategy import Role
from semiseg.io.memory import machine_memory
from semiseg.types import Task

CPU_SHARE, GPU_SHARE = 0.8, 0.9
"""What training may fill: the machine runs other things too, and a GPU's memory is cut into pieces."""


def memory_room(kind: str, device: torch.device | None = None) -> int | None:
    """Bytes that training may fill on "cpu" or "cuda"; None where that cannot be known.

    On the CPU a share of the machine's memory or of the container's limit, whichever is less, whatever else runs: so
    it is alike from one start to the next. On a GPU a share of what other programs leave.
    """
    if kind == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(GPU_SHARE * (free + torch.cuda.memory_reserved(device)))
    whole = machine_memory()
    return None if whole is None else int(CPU_SHARE * whole) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def device_memory(kind: str) -> int | None:
    """Bytes that there are at all on "cpu" or "cuda", whatever else fills them; None where that cannot be known."""
    return torch.cuda.mem_get_info()[1] if kind == "cuda" else machine_memory()


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


STEP_FIX = (
    "Use training.step.mode=alternating, a smaller training.step.micro_batch, training.batch_size or"
    " training.patch_size, or training.precision=bf16; then run in a new folder."
)
PREDICTION_FIX = (
    "Training is done and kept. Go on by the same command with --resume where the GPU is free, or has more memory."
)
NEW_IMAGE_FIX = (
    "Free some memory, use a machine or GPU with more, or crop the image; then run the same command again, which keeps"
    " the predictions that are there."
)
VALIDATION_FIX = (
    "It ran out in validation: use a smaller inference.batch_size or training.patch_size; then run in a new folder."
)
# cuDNN that finds no room for any of its kernels says that it finds no kernel (torch's try_plans in Conv_v8.cpp).
_MAYBE = "unable to find an engine to execute this computation"
_SIGNS = ("out of memory", "ALLOC_FAILED", "DefaultCPUAllocator: can't allocate memory", _MAYBE)


def ran_out(error: BaseException) -> bool:
    """Whether an error of torch, cuDNN, cuBLAS or numpy means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def told_when_out_of_memory(device: torch.device, fix: str) -> Iterator[None]:
    """A block in which memory may run out. Raises TrainingError with the fix where it does."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        surely = "may have run out" if _MAYBE in first else "ran out"
        raise TrainingError(f"Memory {surely}{_of_gpu(device)} ({first}).", fix) from error


def _of_gpu(device: torch.device) -> str:
    if device.type != "cuda":
        return ""
    peak, whole = torch.cuda.max_memory_allocated(device), torch.cuda.get_device_properties(device).total_memory
    return f" on the GPU: at most {peak / 2**30:.1f} of {whole / 2**30:.1f} GiB were in use by this run"
