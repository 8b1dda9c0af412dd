"""Memory: the estimate for a step, the available amount, and the error when it runs out."""

import math
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from semiseg.engine.step_modes import StepMode
from semiseg.errors import TrainingError
from semiseg.interfaces.backbone import Backbone
from semiseg.interfaces.roles import Role
from semiseg.io.memory import machine_memory
from semiseg.types import Task

CPU_SHARE, GPU_SHARE = 0.8, 0.9
"""Fractions that training may fill: other programs run too, and GPU memory gets fragmented."""


def memory_room(kind: str, device: torch.device | None = None) -> int | None:
    """Return the bytes that training may fill on "cpu" or "cuda"; None if unknown.

    On the CPU this is a fraction of the machine's memory or of the container's limit, whichever is less. It ignores
    other programs, so it is the same at every start. On a GPU it is a fraction of what other programs leave free.
    """
    if kind == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(GPU_SHARE * (free + torch.cuda.memory_reserved(device)))
    whole = machine_memory()
    return None if whole is None else int(CPU_SHARE * whole) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def device_memory(kind: str) -> int | None:
    """Return the total bytes on "cpu" or "cuda", used or not; None if unknown."""
    return torch.cuda.mem_get_info()[1] if kind == "cuda" else machine_memory()


WEIGHT, GRADIENT, ADAM = 4, 4, 8
"""Bytes per float32 parameter: the weight, its gradient, and Adam's two moments."""
IMAGE, LABEL = 4, 8
"""Bytes per voxel of a modality and of a label."""


@dataclass(frozen=True, slots=True)
class NetworkMemory:
    """A role's network: bytes that the forward pass of one sample saves for backward, and number of parameters.

    ``averaged``: a moving average of its weights is kept as well.
    """

    saved: int
    parameters: int
    trained: bool
    averaged: bool = False


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of a step in float32.

    Attributes:
        batch: images and labels.
        activations: tensors that networks save for backward.
        parameters: weights, gradients, Adam's state, and averages of weights.
    """

    batch: int
    activations: int
    parameters: int

    @property
    def total(self) -> int:
        """The sum; the loss, kernel workspaces and the allocator's overhead come on top."""
        return self.batch + self.activations + self.parameters


def meta_networks(roles: Sequence[Role], backbones: Mapping[str, Backbone], task: Task) -> dict[str, nn.Module]:
    """Build networks by role without memory (on the meta device); identical roles share one."""
    built: dict[Any, nn.Module] = {}
    networks: dict[str, nn.Module] = {}
    with torch.device("meta"):
        for role in roles:
            backbone = backbones.get(role.name)
            key = id(backbone), role.network, role.standalone
            if key not in built:
                built[key] = role.build(backbone, task)
            networks[role.name] = built[key]
    return networks


def measure_networks(
    roles: Sequence[Role], networks: Mapping[str, nn.Module], task: Task, averaged: Collection[str] = ()
) -> list[NetworkMemory]:
    """Measure ``meta_networks`` for ``estimate_memory``; ``averaged`` are the roles whose weights are averaged."""
    saved: dict[Any, int] = {}
    found = []
    for role in roles:
        network = networks[role.name]
        key = id(network), role.input_shapes
        if key not in saved:
            saved[key] = saved_bytes(network, role.meta_inputs(task))
        parameters = sum(p.numel() for p in network.parameters())
        found.append(NetworkMemory(saved[key], parameters, role.trained, role.name in averaged))
    return found


def estimate_memory(networks: Sequence[NetworkMemory], task: Task, mode: StepMode, batch: int) -> MemoryEstimate:
    """Estimate the memory of a step on this process's ``batch`` samples in a step mode.

    joint holds the graphs and gradients of all trained networks at once, the other modes those of one network.
    ``split`` holds the moments of one network; the other networks' weights are in CPU memory and are counted for it.
    """
    samples = batch if mode.micro_batch is None else min(mode.micro_batch, batch)
    trained = [network for network in networks if network.trained]
    together = sum if mode.name == "joint" else max
    moments = max if mode.name == "split" else sum
    weights = WEIGHT * sum(network.parameters * (2 if network.averaged else 1) for network in networks)
    gradients = GRADIENT * together(network.parameters for network in trained)
    states = ADAM * moments(network.parameters for network in trained)
    return MemoryEstimate(
        batch * math.prod(task.patch_size) * (IMAGE * task.in_channels + LABEL),
        samples * together(network.saved for network in trained),
        weights + gradients + states,
    )


def saved_bytes(network: nn.Module, inputs: Sequence[Tensor]) -> int:
    """Return the bytes that a forward pass saves for backward: each storage once, no parameters."""
    own = {p.untyped_storage()._cdata for p in network.parameters()}
    seen: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            seen[storage._cdata] = tensor  # held, so that no two live storages share an address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network.train()(*inputs)
    return sum(tensor.untyped_storage().nbytes() for tensor in seen.values())


class StepMemory:
    """The peak memory of a GPU's tensors in training steps: what a trial measures and ``estimate_memory`` estimates.

    ``peak`` is in bytes, and 0 if unknown: torch does not measure the CPU's. As in a trial, the first step is excluded,
    since the search for kernels takes more than any later step; so is prediction between steps.
    """

    def __init__(self, device: torch.device) -> None:
        self.peak = 0
        self._device, self._is_first = device, True

    @contextmanager
    def of_a_step(self) -> Iterator[None]:
        """Measure the block as one training step."""
        if self._device.type != "cuda":
            yield
            return
        torch.cuda.reset_peak_memory_stats(self._device)
        yield
        if not self._is_first:
            self.peak = max(self.peak, torch.cuda.max_memory_allocated(self._device))
        self._is_first = False


def peak_memory(device: torch.device) -> int:
    """Return the peak memory of this process in bytes: GPU tensors on a GPU, otherwise resident memory."""
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
    "Training is finished and saved. To resume, run the same command with --resume on a GPU with more free memory."
)
NEW_IMAGE_FIX = (
    "Free some memory, use a machine or GPU with more, or crop the image; then run the same command again; it keeps"
    " existing predictions."
)
VALIDATION_FIX = (
    "Memory ran out during validation: use a smaller inference.batch_size or training.patch_size; then run in a new"
    " folder."
)
# If cuDNN has no memory for any of its kernels, it reports that it finds none (torch's try_plans in Conv_v8.cpp).
_MAYBE = "unable to find an engine to execute this computation"
_SIGNS = ("out of memory", "ALLOC_FAILED", "DefaultCPUAllocator: can't allocate memory", _MAYBE)


def ran_out(error: BaseException) -> bool:
    """Return whether an error of torch, cuDNN, cuBLAS or numpy means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def raising_on_oom(device: torch.device, fix: str) -> Iterator[None]:
    """Run a block in which memory may run out. Raises TrainingError with the fix if it does."""
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
    return f" on the GPU: this run used at most {peak / 2**30:.1f} of {whole / 2**30:.1f} GiB"
