"""Devices, processes and precision. Several processes use Lightning Fabric, only for launch and collectives."""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from semiseg.engine.determinism import take_kernels
from semiseg.engine.waiting import Together, patience
from semiseg.errors import RecipeError
from semiseg.openmp import spinning_note

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Runtime:
    """The device and processes of a run: one process by default, or as many as torchrun started.

    Networks are not wrapped: gradients are summed by ``engine.collectives``. Attributes: ``device``, ``rank``,
    ``world``, ``precision`` ("32", "bf16" or "fp16").
    """

    def __init__(self, device: str = "auto", precision: str = "auto", deterministic: bool = False) -> None:
        kind = accelerator(device)
        self.precision = precision_on(precision, kind)
        take_kernels(deterministic and kind == "cuda")
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        if self.world > 1:
            self._fabric = _launch(kind, self.world)
            self.rank: int = self._fabric.global_rank
            self.device: torch.device = self._fabric.device
            self.together = Together(torch.distributed.distributed_c10d._get_default_store(), self.rank, self.world)
        else:  # Fabric is not needed and takes seconds to import
            self.rank, self.device = 0, torch.device(kind, 0) if kind == "cuda" else torch.device(kind)

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and reports to the user."""
        return self.rank == 0

    @property
    def notes(self) -> list[str]:
        """Notes to report about how this process computes."""
        return spinning_note(torch.get_num_threads()) if self.device.type == "cpu" else []

    def autocast(self) -> Any:
        """Return a context for one forward pass (never for several: pytorch#112583)."""
        if self.precision == "32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=_AUTOCAST[self.precision])

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.world == 1:
            return tensor
        with self.together():
            total: Tensor = self._fabric.all_reduce(tensor, reduce_op="sum")
        return total

    def broadcast(self, value: Any) -> Any:
        """Return the main process's value in every process."""
        if self.world == 1:
            return value
        with self.together():
            return self._fabric.broadcast(value)

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value, in rank order."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        with self.together():
            torch.distributed.all_gather_object(values, value)
        return values

    def barrier(self) -> None:
        """Wait until all processes arrive."""
        if self.world > 1:
            with self.together():
                self._fabric.barrier()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block in the main process before the others, for instance to fill a cache."""
        if not self.is_main:
            self.barrier()
        yield
        if self.is_main:
            self.barrier()


def _launch(kind: str, world: int) -> Any:
    import lightning_fabric
    from lightning_fabric.plugins.environments import TorchElasticEnvironment
    from lightning_fabric.strategies import DDPStrategy

    local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    fabric = lightning_fabric.Fabric(
        accelerator=kind,
        devices=local,
        num_nodes=max(world // local, 1),
        strategy=DDPStrategy(timeout=patience()),
        precision="32-true",
        # Set explicitly: Fabric would detect SLURM, but a lone SLURM task belongs to no process group.
        plugins=TorchElasticEnvironment(),
    )
    fabric.launch()
    # Without this, the backend's threads may outlive what they use at interpreter exit.
    atexit.register(torch.distributed.destroy_process_group)
    return fabric


def accelerator(device: str) -> str:
    """Return "cpu" or "cuda" for a recipe's ``training.device``. Raises RecipeError if there is no such device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise RecipeError("training.device is cuda, but torch finds no CUDA GPU.", "Set training.device=auto or cpu.")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def precision_on(precision: str, kind: str) -> str:
    """Resolve a recipe's ``training.precision`` on "cpu" or "cuda".

    Raises RecipeError if the device does not support it.
    """
    if precision == "auto":
        return "bf16" if kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "32"
    if precision == "fp16" and kind == "cpu":
        raise RecipeError("training.precision is fp16, which is for GPUs.", "Set training.precision=32 or bf16.")
    return precision
